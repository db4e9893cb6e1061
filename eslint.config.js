import neostandard from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['node_modules', '.data', '.tap', 'dist', 'web/dist'] }),
  {
    rules: {
      camelcase: 'off', // the wire, SQL and Redis speak snake_case; so do the objects that mirror them
      'no-void': 'off',
      'no-redeclare': 'off', // a TypeBox schema and its static type share one name; tsc finds real ones
      '@typescript-eslint/no-redeclare': 'off',
    },
  },
]
