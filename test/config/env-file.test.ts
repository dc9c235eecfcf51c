import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readEnvFile } from '../../dev/environment.ts'

test('a byte order mark is no part of the first name, and what is set already stays', () => {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-env-'))
  const file = join(folder, '.env')
  try {
    writeFileSync(file, '\ufeffPORT=4000\r\nHOST="::1"\nLOG_LEVEL=debug\nDOCS=true\n')
    const env = { LOG_LEVEL: 'warn', DOCS: '' }
    expect(readEnvFile(file, env)).toEqual({ PORT: '.env', HOST: '.env' })
    expect(env).toEqual({ PORT: '4000', HOST: '::1', LOG_LEVEL: 'warn', DOCS: '' })
    expect(readEnvFile(join(folder, 'none'), env)).toEqual({})
  } finally {
    rmSync(folder, { recursive: true })
  }
})
