import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Program, type Run, sourceFolder, workFolder } from '../program.ts'

const folder = sourceFolder('java')
const built = workFolder('java')

export const detect = async (run: Run): Promise<string | undefined> => {
  const javac = await run({ file: 'javac', args: ['-version'] }).catch(() => '')
  const release = Number(/javac (\d+)/.exec(javac)?.[1])
  if (!(release >= 17)) return 'no JDK of Java 17 or newer on this machine'
  return run({ file: 'mvn', args: ['-version'] }).then(
    () => undefined,
    () => 'no Maven on this machine',
  )
}

const prepare = (run: Run): Promise<void> => build(folder, built, 'compile', run)

/**
 * Maven takes seconds to find that there is nothing to do, so it is asked only after a change of the sources.
 * @param target where the project's pom.xml has it build.
 */
export async function build(project: string, target: string, phase: 'compile' | 'package', run: Run): Promise<void> {
  const hash = createHash('sha256')
  for (const file of [
    'pom.xml',
    ...(await readdir(join(project, 'src'), { recursive: true })).toSorted().map((f) => join('src', f)),
  ]) {
    hash.update(file).update(await readFile(join(project, file)).catch(() => ''))
  }
  const now = hash.digest('hex')
  const stamp = join(target, 'sources.sha256')
  if ((await readFile(stamp, 'utf8').catch(() => '')) === now) return
  const maven = (...args: string[]) =>
    run({
      file: 'mvn',
      args: ['--batch-mode', '--quiet', '--no-transfer-progress', ...args, 'clean', phase],
      cwd: project,
    })
  // Without the network first: a mirror may be slow, or not there.
  await maven('--offline').catch(() => maven())
  await mkdir(target, { recursive: true })
  await writeFile(stamp, now)
}

const versions = (artifacts: Record<string, string>) => async () => {
  const jars = await readdir(join(built, 'lib'))
  return Object.entries(artifacts)
    .map(([artifact, title]) => {
      const jar = jars.find((name) => name.startsWith(`${artifact}-`) && /^\d/.test(name.slice(artifact.length + 1)))
      return `${title} ${jar?.slice(artifact.length + 1, -'.jar'.length)}`
    })
    .join(', ')
}

const check = (library: string) => ({
  file: 'java',
  // A short run: the compiler that optimises would cost more than it saves.
  args: [
    '-XX:TieredStopAtLevel=1',
    '-XX:+UseSerialGC',
    '-cp',
    `${built}/classes:${built}/lib/*`,
    'orders.Main',
    library,
  ],
})

export const javaSpring: Program = {
  name: 'java-spring',
  title: 'Java: Spring Security',
  detect,
  prepare,
  versions: versions({ 'spring-boot': 'Spring Boot', 'spring-security-oauth2-jose': 'Spring Security' }),
  check: check('spring'),
  known: {},
}

export const javaNimbus: Program = {
  name: 'java-nimbus',
  title: 'Java: Nimbus JOSE+JWT',
  detect,
  prepare,
  versions: versions({ 'nimbus-jose-jwt': 'Nimbus JOSE+JWT' }),
  check: check('nimbus'),
  known: {},
}
