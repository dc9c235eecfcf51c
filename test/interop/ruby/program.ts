import { type Program, sourceFolder } from '../program.ts'

/** As a distribution packages it: Debian's ruby-jwt, or the gem jwt where somebody has installed that. */
export const rubyJwt: Program = {
  name: 'ruby-jwt',
  title: 'Ruby: ruby-jwt',
  detect: (run) =>
    run({
      file: 'ruby',
      args: ['-rjwt', '-e', 'exit(Gem::Version.new(JWT::VERSION::STRING) >= Gem::Version.new("2.5"))'],
    }).then(
      () => undefined,
      () => 'no Ruby with jwt 2.5 or newer',
    ),
  prepare: async () => {},
  versions: async (run) => {
    const script = 'print "jwt #{JWT::VERSION::STRING}, Ruby #{RUBY_VERSION}"'
    return run({ file: 'ruby', args: ['-rjwt', '-e', script] })
  },
  check: { file: 'ruby', args: ['main.rb'], cwd: sourceFolder('ruby') },
  known: {},
}
