/** Picks an emoji. Its data is our own file (`emoji.json`: groups of [emoji, names]), so that nothing is fetched from elsewhere. */
import { EmojiPicker as Picker } from 'frimousse'
import data from './emoji.json'

type Group = [name: string, emoji: Array<[emoji: string, names: string]>]
type EmojiData = ReturnType<Extract<NonNullable<Parameters<typeof Picker.Root>[0]['resolveEmojiData']>, (...args: never[]) => unknown>>

const groups = data as unknown as Group[]

function resolve (): EmojiData {
  return {
    locale: 'en',
    categories: groups.map(([label], index) => ({ index, label })),
    emojis: groups.flatMap(([, emoji], category) => emoji.map(([char, label]) => ({ emoji: char, category, label, version: 1, tags: [] }))),
    skinTones: { light: 'light', 'medium-light': 'medium light', medium: 'medium', 'medium-dark': 'medium dark', dark: 'dark' },
  }
}

/** Places are counted from 1 there, and from 0 here. */
const fromOne = (index: number | undefined): number | undefined => index === undefined ? undefined : index + 1

export default function EmojiPicker ({ onPick }: { onPick: (emoji: string) => void }) {
  return (
    <Picker.Root className='mr-emoji' columns={9} resolveEmojiData={resolve} onEmojiSelect={({ emoji }) => { onPick(emoji) }}>
      <Picker.Search className='mr-emoji-search' autoFocus placeholder='Search emoji' aria-label='Search emoji' />
      <Picker.Viewport className='mr-emoji-viewport'>
        <Picker.Empty>Nothing is called like that.</Picker.Empty>
        <Picker.List
          components={{
            CategoryHeader: ({ category, ...props }) => <div {...props} className='mr-emoji-group'>{category.label}</div>,
            Row: ({ children, ...props }) => <div {...props} aria-rowindex={fromOne(props['aria-rowindex'])} className='mr-emoji-row'>{children}</div>,
            Emoji: ({ emoji, ...props }) => <button {...props} aria-colindex={fromOne(props['aria-colindex'])} className='mr-emoji-one' data-active={emoji.isActive ? '' : undefined}>{emoji.emoji}</button>,
          }}
        />
      </Picker.Viewport>
    </Picker.Root>
  )
}
