/** The field of the search: a combobox, whose list completes operators and what follows them. */
import { useEffect, useId, useImperativeHandle, useLayoutEffect, useRef, useState, type KeyboardEvent, type Ref } from 'react'
import Close from '@mui/icons-material/Close'
import SearchIcon from '@mui/icons-material/Search'
import Box from '@mui/material/Box'
import IconButton from '@mui/material/IconButton'
import InputBase from '@mui/material/InputBase'
import Paper from '@mui/material/Paper'
import { replaced, tokenAt } from './query.ts'
import { useSuggestions, type Suggestion } from './useSuggestions.ts'

export interface FieldHandle {
  focus: () => void
  /** Puts this where the caret is. */
  insert: (text: string) => void
}

interface SearchFieldProps {
  text: string
  onText: (text: string) => void
  isEverywhere: boolean
  label: string
  handle: Ref<FieldHandle>
  /** To what was found; false if there is nothing. */
  onDown: () => boolean
  onClose: () => void
}

export function SearchField ({ text, onText, isEverywhere, label, handle, onDown, onClose }: SearchFieldProps) {
  const input = useRef<HTMLInputElement>(null)
  const [caret, setCaret] = useState(text.length)
  const [at, setAt] = useState(-1)
  const [isOpen, setOpen] = useState(false)
  const moveTo = useRef<number>(undefined)
  const id = useId()
  const token = tokenAt(text, caret)
  const suggestions = useSuggestions(token, isEverywhere)
  const shown = isOpen ? suggestions : []
  const active = Math.min(at, shown.length - 1)

  const set = (next: string, caret: number): void => {
    onText(next)
    setCaret(caret)
    moveTo.current = caret
    setAt(-1)
    setOpen(true)
  }
  useLayoutEffect(() => { // the caret goes where the text was put
    if (moveTo.current === undefined) return
    input.current?.setSelectionRange(moveTo.current, moveTo.current)
    moveTo.current = undefined
  })
  useImperativeHandle(handle, () => ({
    focus () {
      input.current?.focus()
      input.current?.select()
    },
    insert (piece) {
      const hint = piece === '"…"' ? '""' : piece
      const before = text === '' || text.endsWith(' ') ? text : `${text} `
      const all = before + (piece === 'or' ? 'or ' : hint)
      set(all, piece === '"…"' ? all.length - 1 : all.length)
      input.current?.focus()
    },
  }))
  useEffect(() => { setAt(-1) }, [token.text])

  const pick = ({ insert }: Suggestion): void => {
    const { text: next, caret } = replaced(text, token, insert)
    set(next, caret)
    setOpen(insert.endsWith(':'))
    input.current?.focus()
  }
  const onKeyDown = (event: KeyboardEvent<HTMLInputElement>): void => {
    if (event.nativeEvent.isComposing) return
    const { key } = event
    const isListed = shown.length > 0
    if (key === 'ArrowDown') {
      if (isListed) setAt((active + 1) % shown.length)
      else if (!onDown()) return
    } else if (key === 'ArrowUp' && isListed) setAt(active <= 0 ? shown.length - 1 : active - 1)
    else if ((key === 'Enter' || key === 'Tab') && isListed && active >= 0) pick(shown[active]!)
    else if (key === 'Enter') onDown()
    else if (key === 'Escape') {
      if (isListed) setOpen(false)
      else if (text !== '') set('', 0)
      else onClose()
      event.stopPropagation()
    } else return
    event.preventDefault()
  }
  return (
    <Box sx={{ position: 'relative' }} onBlur={event => { if (!event.currentTarget.contains(event.relatedTarget)) setOpen(false) }}>
      <InputBase
        inputRef={input} fullWidth value={text} placeholder={label} autoFocus
        onChange={event => { set(event.target.value, event.target.selectionStart ?? event.target.value.length) }}
        onSelect={event => { setCaret((event.target as HTMLInputElement).selectionStart ?? 0) }}
        onKeyDown={onKeyDown}
        startAdornment={<SearchIcon fontSize='small' sx={{ ml: 1.5, mr: 1, color: 'text.secondary' }} />}
        endAdornment={text !== '' && <IconButton size='small' aria-label='Clear' onClick={() => { set('', 0); input.current?.focus() }} sx={{ mr: 0.5 }}><Close fontSize='small' /></IconButton>}
        slotProps={{ input: { role: 'combobox', 'aria-label': label, 'aria-expanded': shown.length > 0, 'aria-controls': id, 'aria-autocomplete': 'list', 'aria-activedescendant': active >= 0 ? `${id}-${active}` : undefined, 'data-testid': 'search-field', autoComplete: 'off', autoCapitalize: 'none', spellCheck: false, enterKeyHint: 'search', maxLength: 1_000 } as object }}
        sx={{ height: 42, border: 1, borderColor: 'divider', borderRadius: 1.5, bgcolor: 'background.paper', fontSize: 15, '&.Mui-focused': { borderColor: 'primary.main', boxShadow: '0 0 0 1px var(--mr-palette-primary-main)' } }}
      />
      <Paper elevation={6} component='ul' id={id} role='listbox' aria-label='Completions' hidden={shown.length === 0} sx={{ position: 'absolute', zIndex: 3, left: 0, right: 0, top: 46, m: 0, p: 0.75, listStyle: 'none', borderRadius: 1.5, border: 1, borderColor: 'divider' }}>
        {shown.map((suggestion, i) => (
          <Box
            key={suggestion.insert} component='li' id={`${id}-${i}`} role='option' aria-selected={i === active} onMouseDown={event => { event.preventDefault() }} onClick={() => { pick(suggestion) }} onMouseMove={() => { setAt(i) }}
            sx={{ display: 'flex', alignItems: 'baseline', gap: 1.5, px: 1.25, py: 0.75, borderRadius: 1, cursor: 'pointer', fontSize: 14, bgcolor: i === active ? 'action.selected' : undefined }}
          >
            <Box component='span' sx={{ fontWeight: 600, overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' }}>{suggestion.label}</Box>
            <Box component='span' sx={{ ml: 'auto', fontSize: 12.5, color: 'text.secondary', flexShrink: 0 }}>{suggestion.says}</Box>
          </Box>
        ))}
      </Paper>
    </Box>
  )
}
