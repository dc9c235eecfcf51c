import { nativeRecipe, serviceRecipe, spacesAreHttp } from '../recipe.ts'
import { detect, environment, prepare, quiet, versionsOf } from './program.ts'

export const fastapi = serviceRecipe({
  page: 'fastapi',
  title: 'FastAPI',
  hurry: [
    ['READ_AGAIN_AFTER = 300', 'READ_AGAIN_AFTER = 1'],
    ['pause = 30 ', 'pause = 1 '],
  ],
  detect,
  prepare,
  versions: versionsOf('FastAPI', 'PyJWT', 'uvicorn'),
  known: spacesAreHttp,
  env: { ...quiet, PATH: `${environment}/bin:${process.env.PATH}` },
})

export const nativePython = nativeRecipe({
  page: 'native-python',
  title: 'a native client in Python',
  detect,
  prepare: async () => {},
  versions: async (run) => (await run({ file: 'python3', args: ['--version'] })).trim(),
})
