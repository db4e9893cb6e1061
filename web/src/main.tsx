/** The entry of the page: theme, styles under the answer's nonce, and the app. */
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import createCache from '@emotion/cache'
import { CacheProvider } from '@emotion/react'
import CssBaseline from '@mui/material/CssBaseline'
import { ThemeProvider } from '@mui/material/styles'
import { App } from './app/App.tsx'
import { theme } from './app/theme.ts'
import { startLeaving } from './chat/leaving.ts'
import { startWorker } from './offline/worker.ts'
import './app/app.css'

const nonce = document.querySelector<HTMLMetaElement>('meta[property=csp-nonce]')?.nonce
const cache = createCache({ key: 'mr', ...(nonce !== undefined && nonce !== '' && { nonce }) })

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <CacheProvider value={cache}>
      <ThemeProvider theme={theme} defaultMode='system'>
        <CssBaseline />
        <App />
      </ThemeProvider>
    </CacheProvider>
  </StrictMode>
)

startLeaving()
startWorker()
