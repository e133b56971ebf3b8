# json-jwt with a key set, as its README has it; the claims are its users' to check. It fetches nothing:
# the program does, for each token.
require_relative "../lib/answer"
require "json/jwt"

answer("json-jwt #{Gem.loaded_specs["json-jwt"]&.version || Gem::Specification.find_by_name("json-jwt").version}") do |issuer, jwks, audience|
  lambda do |token|
    claims = JSON::JWT.decode(token, JSON::JWK::Set.new(JSON.parse(fetched(jwks))))
    raise "iss" unless claims[:iss] == issuer
    raise "aud" unless Array(claims[:aud]).include?(audience)
    raise "exp" unless claims[:exp].to_i > Time.now.to_i
  end
end
