require 'json'
require 'jwt'
require 'net/http'

SHAPE = /\A[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\z/
ACCESS_TOKEN_TYPES = ['at+jwt', 'application/at+jwt'].freeze

def download(address)
  uri = URI(address)
  reply = Net::HTTP.start(uri.host, uri.port, use_ssl: uri.scheme == 'https', open_timeout: 5, read_timeout: 5) do |http|
    http.get(uri.request_uri)
  end
  raise "#{address} was answered #{reply.code}" unless reply.is_a?(Net::HTTPOK)

  JSON.parse(reply.body)
end

# Keeps the keys. An unknown "kid" has them fetched again, at most once in 30 s; five minutes do so anyway.
# Fetching and keeping are left to us by ruby-jwt.
class Keys
  def initialize(issuer)
    metadata = download("#{issuer}/.well-known/oauth-authorization-server")
    raise 'these are the metadata of another issuer' unless metadata['issuer'] == issuer

    @address = metadata['jwks_uri']
    @lock = Mutex.new
  end

  def call(options)
    @lock.synchronize do
      age = @fetched ? now - @fetched : Float::INFINITY
      fetch if age > 300 || (options[:kid_not_found] && age > 30)
      @keys
    end
  end

  private

  def fetch
    @keys = download(@address)
  rescue StandardError
    # The issuer is away for a while: the keys that we have are still good.
    raise unless @keys
  ensure
    @fetched = now
  end

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
end

# Make one at the start, and keep it.
class Verifier
  def initialize(issuer, audience)
    @options = {
      algorithms: ['RS256'], jwks: Keys.new(issuer).method(:call),
      iss: issuer, verify_iss: true, aud: audience, verify_aud: true, leeway: 30,
      required_claims: %w[iss sub aud client_id iat exp jti]
    }
  end

  # Gives the claims, or raises JWT::DecodeError.
  def verify(token)
    raise JWT::DecodeError, 'not three parts in base64url' unless token.length <= 8192 && SHAPE.match?(token)

    claims, header = JWT.decode(token, nil, true, @options)
    # Else any other JWT of this issuer would pass for an access token.
    raise JWT::DecodeError, 'not an access token' unless ACCESS_TOKEN_TYPES.include?(header['typ'].to_s.downcase)
    # ruby-jwt compares the algorithm without regard to case, and does not look at extensions that ask to be understood.
    raise JWT::DecodeError, 'wrong algorithm' unless header['alg'] == 'RS256'
    raise JWT::DecodeError, 'an unknown extension' if header.key?('crit')
    # What is no number counts as one for ruby-jwt, and texts are not looked at.
    raise JWT::DecodeError, 'a time is not a number' unless %w[iat exp].all? { |name| claims[name].is_a?(Numeric) } &&
                                                          claims.fetch('nbf', 0).is_a?(Numeric)
    raise JWT::DecodeError, 'a name is not a text' unless %w[sub client_id jti].all? { |name| claims[name].is_a?(String) }
    # Without a proof of the key (RFC 9449), which is not looked at here, it may be stolen.
    raise JWT::DecodeError, 'bound to a key' if claims.key?('cnf')

    claims
  end
end
