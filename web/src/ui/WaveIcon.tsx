/** The sign of Millrace: two waves. */
import SvgIcon, { type SvgIconProps } from '@mui/material/SvgIcon'

export function WaveIcon (props: SvgIconProps) {
  return (
    <SvgIcon viewBox='0 0 24 24' {...props}>
      <g fill='none' stroke='currentColor' strokeWidth='2.6' strokeLinecap='round'>
        <path d='M3 9c3-3.2 6-3.2 9 0s6 3.2 9 0' />
        <path d='M3 16.5c3-3.2 6-3.2 9 0s6 3.2 9 0' opacity='.55' />
      </g>
    </SvgIcon>
  )
}
