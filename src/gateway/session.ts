/**
 * The life of a connection, as a pure state machine: which phase it is in, and what is to be done with what comes.
 *
 *     greeting ──token is good──▶ open ──any end──▶ ending ──socket closed──▶ ended
 *        └───────token is bad, silence, abuse────────▲
 *
 * The table is total: every phase says something to every input (the test walks through all).
 */

export type Phase = 'greeting' | 'open' | 'ending' | 'ended'

export type Input =
  /** A hello frame. */
  | 'hello'
  /** Any other good frame. */
  | 'frame'
  /** A frame that could not be read. */
  | 'bad frame'
  /** A token was checked: good, or not. */
  | 'token good' | 'token bad'
  /** No hello came in time, the token ran out, no sign of life, too slow, too many bad frames, the server stops, … */
  | 'end'
  /** The socket is gone. */
  | 'closed'

export type Action = 'check token' | 'serve' | 'answer error' | 'refuse' | 'welcome' | 'say bye' | 'clean up' | 'ignore'

export interface Step { readonly to: Phase, readonly action: Action }

const step = (to: Phase, action: Action): Step => ({ to, action })

export const SESSION: Readonly<Record<Phase, Readonly<Record<Input, Step>>>> = {
  greeting: {
    hello: step('greeting', 'check token'),
    frame: step('greeting', 'refuse'),
    'bad frame': step('greeting', 'answer error'),
    'token good': step('open', 'welcome'),
    'token bad': step('ending', 'say bye'),
    end: step('ending', 'say bye'),
    closed: step('ended', 'clean up'),
  },
  open: {
    hello: step('open', 'check token'), // again: a fresh token, or a resume after a token in the URL
    frame: step('open', 'serve'),
    'bad frame': step('open', 'answer error'),
    'token good': step('open', 'welcome'),
    'token bad': step('ending', 'say bye'),
    end: step('ending', 'say bye'),
    closed: step('ended', 'clean up'),
  },
  ending: {
    hello: step('ending', 'ignore'),
    frame: step('ending', 'ignore'),
    'bad frame': step('ending', 'ignore'),
    'token good': step('ending', 'ignore'),
    'token bad': step('ending', 'ignore'),
    end: step('ending', 'ignore'),
    closed: step('ended', 'clean up'),
  },
  ended: {
    hello: step('ended', 'ignore'),
    frame: step('ended', 'ignore'),
    'bad frame': step('ended', 'ignore'),
    'token good': step('ended', 'ignore'),
    'token bad': step('ended', 'ignore'),
    end: step('ended', 'ignore'),
    closed: step('ended', 'ignore'),
  },
}
