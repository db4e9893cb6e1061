/** How Millrace looks: its colours, light and dark, its type and its shapes. Contrasts of text are at least 4.5 to 1 in both. */
import { createTheme } from '@mui/material/styles'

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", Ubuntu, Cantarell, "Helvetica Neue", Arial, sans-serif, "Apple Color Emoji", "Segoe UI Emoji", "Noto Color Emoji"'
export const MONO = 'ui-monospace, SFMono-Regular, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace'

export const theme = createTheme({
  cssVariables: { cssVarPrefix: 'mr', colorSchemeSelector: 'data' },
  colorSchemes: {
    light: {
      palette: {
        primary: { main: '#0b6e62', dark: '#085248', light: '#dcefeb', contrastText: '#ffffff' },
        secondary: { main: '#8a450d', contrastText: '#ffffff' },
        error: { main: '#b3261e' },
        warning: { main: '#8a5300' },
        success: { main: '#1b7a3d' },
        background: { default: '#f3f5f4', paper: '#ffffff' },
        text: { primary: '#18211f', secondary: '#55625f' },
        divider: '#dfe5e3',
        action: { hover: 'rgba(16, 60, 53, 0.055)', selected: 'rgba(11, 110, 98, 0.12)' },
      },
    },
    dark: {
      palette: {
        primary: { main: '#63cdbb', dark: '#3fae9c', light: '#173631', contrastText: '#06201c' },
        secondary: { main: '#e9a263', contrastText: '#2b1500' },
        error: { main: '#f2a19b' },
        warning: { main: '#e5b567' },
        success: { main: '#7fce96' },
        background: { default: '#111615', paper: '#191f1e' },
        text: { primary: '#e7edeb', secondary: '#9fada9' },
        divider: '#2b3432',
        action: { hover: 'rgba(190, 235, 226, 0.06)', selected: 'rgba(99, 205, 187, 0.16)' },
      },
    },
  },
  shape: { borderRadius: 10 },
  typography: {
    fontFamily: FONT,
    fontSize: 14,
    button: { textTransform: 'none', fontWeight: 600 },
    h5: { fontWeight: 700, letterSpacing: '-0.01em' },
    h6: { fontWeight: 700, fontSize: '1.05rem', letterSpacing: '-0.005em' },
    subtitle2: { fontWeight: 650 },
    overline: { fontWeight: 650, letterSpacing: '0.06em', lineHeight: 1.6, fontSize: '0.7rem' },
  },
  components: {
    MuiCssBaseline: { styleOverrides: { 'html, body, #root': { height: '100%' }, body: { overflow: 'hidden', overscrollBehavior: 'none' } } },
    MuiButton: { defaultProps: { disableElevation: true } },
    MuiPaper: { styleOverrides: { root: { backgroundImage: 'none' } } },
    MuiTooltip: { defaultProps: { enterDelay: 400, arrow: true } },
    MuiTextField: { defaultProps: { size: 'small', fullWidth: true } },
    MuiDialog: { defaultProps: { fullWidth: true, maxWidth: 'xs' } },
    MuiUseMediaQuery: { defaultProps: { noSsr: true } },
  },
})
