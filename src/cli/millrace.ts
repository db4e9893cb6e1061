/**
 * The command line: `millrace <command> …`. One file per command; this one picks it, loads the configuration once and turns
 * what went wrong into one line and an exit code (0 done, 1 it could not be done, 2 the command line was wrong).
 */
import { ConfigError, loadConfig, type Config } from '../config.ts'
import { CommandFailed, UsageError } from './errors.ts'

interface CliCommand {
  readonly usage: string
  readonly does: string
  run: (args: string[], config: Config) => Promise<number>
}

/** Commands load their code when they are called: `--help` needs none of it. */
const COMMANDS: Record<string, CliCommand> = {
  start: {
    usage: 'start',
    does: 'runs everything on this machine: Redis, Postgres, gateway, jobs, projector',
    run: async (_args, config) => await (await import('./start.ts')).start(config),
  },
  gateway: {
    usage: 'gateway [jobs] [projector]',
    does: 'runs a gateway over REDIS_URL and DATABASE_URL, in the foreground; other roles named besides run in the same process',
    run: async args => await runRoles(['gateway', ...args]),
  },
  projector: {
    usage: 'projector [jobs]',
    does: 'runs a projector, likewise',
    run: async args => await runRoles(['projector', ...args]),
  },
  jobs: {
    usage: 'jobs',
    does: 'runs background jobs, likewise',
    run: async args => await runRoles(['jobs', ...args]),
  },
  migrate: {
    usage: 'migrate',
    does: 'brings the database to the schema of this version',
    run: async (_args, config) => await (await import('./migrate.ts')).migrateCommand(config),
  },
  import: {
    usage: 'import irc --room NAME [--date YYYY-MM-DD] FILE…',
    does: 'reads chat logs into a room; again adds nothing, and goes on where it was cut off',
    run: async (args, config) => await (await import('./import.ts')).importCommand(args, config),
  },
  export: {
    usage: 'export [--format ndjson|csv] --since TIME [--until TIME] [--room ID] [--what messages|events]',
    does: 'writes messages or events to standard output, in the order of room and seq',
    run: async (args, config) => await (await import('./export.ts')).exportCommand(args, config),
  },
  status: {
    usage: 'status [--watch] [--json]',
    does: 'how everything is, in one screen, what is wrong in its first line; exit code 2 where something is',
    run: async (args, config) => await (await import('./status.ts')).statusCommand(args, config),
  },
  doctor: {
    usage: 'doctor [--json]',
    does: 'checks the settings of Redis, Postgres and this host, and says what to change; exit code 2 where something is wrong',
    run: async (args, config) => await (await import('./doctor.ts')).doctorCommand(args, config),
  },
  operator: {
    usage: 'operator add USERNAME | operator remove USERNAME | operator list',
    does: 'says who may act for the deployment itself, over the routes under /admin',
    run: async (args, config) => await (await import('./operator.ts')).operatorCommand(args, config),
  },
  park: {
    usage: 'park list | park show [--content] PROJECTION ROOM | park retry PROJECTION ROOM | park skip [--reason TEXT] PROJECTION ROOM',
    does: 'rooms that a projection has set aside: lists them, looks into one, puts it back, or goes on behind what cannot be applied',
    run: async (args, config) => await (await import('./park.ts')).parkCommand(args, config),
  },
  rebuild: {
    usage: 'rebuild [NAME] [--throttle EVENTS_PER_S] [--grace TIME] [--restart]',
    does: 'fills the tables of a read model anew beside the live ones and puts them in their place; without a name, lists them',
    run: async (args, config) => await (await import('./rebuild.ts')).rebuildCommand(args, config),
  },
  recover: {
    usage: 'recover',
    does: 'rebuilds Redis from Postgres after a loss, for all rooms at once; again changes nothing',
    run: async (args, config) => await (await import('./recover.ts')).recoverCommand(args, config),
  },
  verify: {
    usage: 'verify [--room ID] [--json] [--forget-parted --reason TEXT]',
    does: 'checks every chain of the archive, and the archive against Redis; exit code 2 where something is wrong. --forget-parted deletes what was set aside of histories that do not stand',
    run: async (args, config) => await (await import('./verify.ts')).verifyCommand(args, config),
  },
  demo: {
    usage: 'demo [URL]',
    does: 'two people talk, one is cut off mid-sentence and comes back; against a running server',
    run: async (args, config) => await (await import('./demo.ts')).demoCommand(args, config),
  },
}

/** Returns when they are ready; the process then lives until a signal, and ends with a code of its own. */
async function runRoles (roles: string[]): Promise<number> {
  await (await import('../roles/process.ts')).runRoles(roles)
  return 0
}

/** Runs `millrace` with these arguments (without `node` and the script) and sets the exit code. */
export async function main (argv: string[]): Promise<void> {
  process.exitCode = await run(argv)
}

async function run (argv: string[]): Promise<number> {
  const [name = '', ...args] = argv
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined) {
    const asked = ['', 'help', '--help', '-h'].includes(name)
    const lines = Object.values(COMMANDS).map(({ usage, does }) => `  millrace ${usage}\n      ${does}`)
    print(asked, `${asked ? '' : `There is no command ${JSON.stringify(name)}.\n\n`}Millrace: a chat backend that never loses its place.\n\n${lines.join('\n')}\n\nSettings come from the environment; see .env.example.`)
    return asked ? 0 : 2
  }
  try {
    return await command.run(args, loadConfig())
  } catch (error) {
    if (error instanceof UsageError) {
      print(false, `${error.message}\nUsage: millrace ${command.usage}`)
      return 2
    }
    const { message, stack } = error as Error
    print(false, error instanceof CommandFailed || error instanceof ConfigError || /Unfit$/.test((error as Error).name) ? message : stack ?? message)
    return 1
  }
}

function print (good: boolean, text: string): void {
  (good ? process.stdout : process.stderr).write(`${text}\n`)
}
