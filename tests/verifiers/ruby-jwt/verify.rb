# ruby-jwt with the loader of its README: a set is kept, and fetched again for an unknown kid when it is
# older than five minutes.
require_relative "../lib/answer"
require "jwt"

answer("ruby-jwt #{JWT.gem_version}") do |issuer, jwks, audience|
  kept, updated = nil, 0
  loader = lambda do |options|
    kept = nil if options[:kid_not_found] && updated < Time.now.to_i - 300
    kept ||= begin
      updated = Time.now.to_i
      JSON.parse(fetched(jwks), symbolize_names: true)
    end
  end
  lambda do |token|
    checks = { algorithms: ["RS256"], jwks: loader, iss: issuer, verify_iss: true, aud: audience, verify_aud: true }
    JWT.decode(token, nil, true, checks)
  end
end
