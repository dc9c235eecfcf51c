# Lets the snippet judge the tokens on standard input. See ../README.md.
require_relative 'verify'

verifier = Verifier.new(ENV.fetch('ISSUER'), ENV.fetch('AUDIENCE'))
$stdin.each_line do |line|
  given = JSON.parse(line)
  verdict = { name: given['name'], accepted: true }
  begin
    verifier.verify(given['token'])
  rescue StandardError => e
    verdict.merge!(accepted: false, error: "#{e.class}: #{e.message}"[0, 200])
  end
  puts JSON.generate(verdict)
end
