import { defineConfig } from 'vite'

export default defineConfig({
  build: {
    target: 'es2022',
    // The Content-Security-Policy allows no data: URLs and no inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
})
