# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_countersign_global_optspecs
    string join \n h/help V/version
end

function __fish_countersign_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_countersign_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_countersign_using_subcommand
    set -l cmd (__fish_countersign_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c countersign -n "__fish_countersign_needs_command" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_needs_command" -s V -l version -d 'Print version'
complete -c countersign -n "__fish_countersign_needs_command" -f -a "run" -d 'Run the proxy'
complete -c countersign -n "__fish_countersign_needs_command" -f -a "demo" -d 'Show the main job on an embedded, broken issuer'
complete -c countersign -n "__fish_countersign_needs_command" -f -a "normalize" -d 'Normalise a JWKS: the document on stdout, what was done on stderr'
complete -c countersign -n "__fish_countersign_needs_command" -f -a "verify" -d 'Check the signature of a JWS against a key set'
complete -c countersign -n "__fish_countersign_needs_command" -f -a "resign" -d 'Countersign one token offline, as the proxy would'
complete -c countersign -n "__fish_countersign_needs_command" -f -a "doctor" -d 'Find out why a verifier refuses an issuer, and how to fix it'
complete -c countersign -n "__fish_countersign_needs_command" -f -a "inspect" -d 'Decode a token without trusting it'
complete -c countersign -n "__fish_countersign_needs_command" -f -a "keys" -d 'List, rotate, import, export or make signing keys'
complete -c countersign -n "__fish_countersign_needs_command" -f -a "init" -d 'Write a commented countersign.toml'
complete -c countersign -n "__fish_countersign_needs_command" -f -a "healthcheck" -d 'Ask a running proxy whether it is ready (for a container\'s health check)'
complete -c countersign -n "__fish_countersign_needs_command" -f -a "completions" -d 'Print shell completions'
complete -c countersign -n "__fish_countersign_needs_command" -f -a "version" -d 'Print the version'
complete -c countersign -n "__fish_countersign_needs_command" -f -a "man" -d 'Write the man pages'
complete -c countersign -n "__fish_countersign_needs_command" -f -a "schema" -d 'Print the JSON schema of countersign.toml'
complete -c countersign -n "__fish_countersign_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c countersign -n "__fish_countersign_using_subcommand run" -s c -l config -d 'Configuration file (TOML) [default: countersign.toml, where there is one]' -r -F
complete -c countersign -n "__fish_countersign_using_subcommand run" -l upstream -d 'The auth server, `https://auth.example.com`; alone it is enough' -r -f
complete -c countersign -n "__fish_countersign_using_subcommand run" -l upstream-host -d 'The `Host` sent to the auth server: `client`, `upstream` or a name [default: `upstream` for an `https` upstream that has another name than the public URL, else `client`]' -r
complete -c countersign -n "__fish_countersign_using_subcommand run" -l listen -d 'Address of the public listener [default: every address at port PORT where that variable is set, else 127.0.0.1:8080]' -r
complete -c countersign -n "__fish_countersign_using_subcommand run" -l public-url -d 'What clients and the verifier call this proxy, `https://auth.example.com`' -r -f
complete -c countersign -n "__fish_countersign_using_subcommand run" -l admin -d 'Address of the admin listener, or `off` [default: 127.0.0.1:9090]' -r
complete -c countersign -n "__fish_countersign_using_subcommand run" -l data-dir -d 'Where signing keys and last good key sets are kept' -r -f -a "(__fish_complete_directories)"
complete -c countersign -n "__fish_countersign_using_subcommand run" -l store -d 'Where the signing keys are kept: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`' -r
complete -c countersign -n "__fish_countersign_using_subcommand run" -l threads -d 'Proxy threads [default: one per core]' -r
complete -c countersign -n "__fish_countersign_using_subcommand run" -l profile -d 'The verifier to satisfy: `convex`, `standard`, `federation`, `hasura` or `login` [default: convex]' -r
complete -c countersign -n "__fish_countersign_using_subcommand run" -l log -d '`error`, `warn`, `info`, `debug`, `trace`, or `target=level` pairs [default: info]' -r
complete -c countersign -n "__fish_countersign_using_subcommand run" -l log-format -d '`text` or `json` [default: text]' -r
complete -c countersign -n "__fish_countersign_using_subcommand run" -l check -d 'Check the configuration and exit'
complete -c countersign -n "__fish_countersign_using_subcommand run" -l upgrade -d 'Take over the listeners of a running proxy without dropping a connection'
complete -c countersign -n "__fish_countersign_using_subcommand run" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand demo" -l serve -d 'Keep issuer and proxy running after the demonstration'
complete -c countersign -n "__fish_countersign_using_subcommand demo" -l json -d 'One JSON object instead of text'
complete -c countersign -n "__fish_countersign_using_subcommand demo" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand normalize" -l profile -d 'Publish what this verifier accepts: `convex`, `standard`, `federation`, `hasura` or `login`' -r
complete -c countersign -n "__fish_countersign_using_subcommand normalize" -l report -d 'How the report on stderr is written' -r -f -a "text\t''
json\t''"
complete -c countersign -n "__fish_countersign_using_subcommand normalize" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand verify" -l jwks -d 'The key set: a file or an address (with --batch a line may bring its own)' -r -F
complete -c countersign -n "__fish_countersign_using_subcommand verify" -l alg -d 'Allow this algorithm; repeat for more [default: every asymmetric one]' -r
complete -c countersign -n "__fish_countersign_using_subcommand verify" -l batch -d 'JSON lines in (`{"token":…}` or `{"token":…,"jwks":{…}}`), `{"valid":…,"reason":…}` out'
complete -c countersign -n "__fish_countersign_using_subcommand verify" -l json -d 'One JSON object instead of text'
complete -c countersign -n "__fish_countersign_using_subcommand verify" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand resign" -s c -l config -d 'Configuration file of the proxy [default: countersign.toml, where there is one]' -r -F
complete -c countersign -n "__fish_countersign_using_subcommand resign" -l data-dir -d 'Where the signing keys are kept' -r -f -a "(__fish_complete_directories)"
complete -c countersign -n "__fish_countersign_using_subcommand resign" -l store -d 'The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`' -r
complete -c countersign -n "__fish_countersign_using_subcommand resign" -l audience -d 'The audience to keep if the token has several' -r
complete -c countersign -n "__fish_countersign_using_subcommand resign" -l json -d 'One JSON object instead of the token alone'
complete -c countersign -n "__fish_countersign_using_subcommand resign" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand doctor" -l token -d 'A token to check too, or `@FILE`. Give two of one person to see which claims change' -r
complete -c countersign -n "__fish_countersign_using_subcommand doctor" -l issuer -d '`iss` the verifier is configured with [default: the address]' -r
complete -c countersign -n "__fish_countersign_using_subcommand doctor" -l audience -d '`aud` the verifier is configured with' -r
complete -c countersign -n "__fish_countersign_using_subcommand doctor" -l profile -d 'The verifier: `convex`, `standard`, `federation`, `hasura` or `login`' -r
complete -c countersign -n "__fish_countersign_using_subcommand doctor" -l for -d 'The kind of provider that must accept; without it, either is enough' -r -f -a "custom-jwt\t''
oidc\t''"
complete -c countersign -n "__fish_countersign_using_subcommand doctor" -l allow-private -d 'Follow documents and redirects into private networks'
complete -c countersign -n "__fish_countersign_using_subcommand doctor" -s v -l verbose -d 'Show every check, not only the faults'
complete -c countersign -n "__fish_countersign_using_subcommand doctor" -l json -d 'One JSON object instead of text'
complete -c countersign -n "__fish_countersign_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand inspect" -l json -d 'One JSON object instead of text'
complete -c countersign -n "__fish_countersign_using_subcommand inspect" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and not __fish_seen_subcommand_from list rotate import export generate help" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and not __fish_seen_subcommand_from list rotate import export generate help" -f -a "list" -d 'The keys, their states and times'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and not __fish_seen_subcommand_from list rotate import export generate help" -f -a "rotate" -d 'Publish a new key; it signs once every cache can have seen it'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and not __fish_seen_subcommand_from list rotate import export generate help" -f -a "import" -d 'Import an existing private key, PEM or JWK'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and not __fish_seen_subcommand_from list rotate import export generate help" -f -a "export" -d 'Print the public key set, or write the private keys into a file for a backup'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and not __fish_seen_subcommand_from list rotate import export generate help" -f -a "generate" -d 'Make a key for `store = "env:NAME"`, in a file of its own'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and not __fish_seen_subcommand_from list rotate import export generate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from list" -s c -l config -d 'Configuration file of the proxy [default: countersign.toml, where there is one]' -r -F
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from list" -l data-dir -d 'Where the signing keys are kept' -r -f -a "(__fish_complete_directories)"
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from list" -l store -d 'The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`' -r
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from list" -l json -d 'JSON instead of a table'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from rotate" -s c -l config -d 'Configuration file of the proxy [default: countersign.toml, where there is one]' -r -F
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l data-dir -d 'Where the signing keys are kept' -r -f -a "(__fish_complete_directories)"
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l store -d 'The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`' -r
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l now -d 'Sign with it at once (after a compromise: verifiers refuse tokens until they refetch)'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l json -d 'JSON instead of text'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from import" -s c -l config -d 'Configuration file of the proxy [default: countersign.toml, where there is one]' -r -F
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from import" -l data-dir -d 'Where the signing keys are kept' -r -f -a "(__fish_complete_directories)"
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from import" -l store -d 'The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`' -r
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from import" -l json -d 'JSON instead of text'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from export" -s c -l config -d 'Configuration file of the proxy [default: countersign.toml, where there is one]' -r -F
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from export" -l data-dir -d 'Where the signing keys are kept' -r -f -a "(__fish_complete_directories)"
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from export" -l store -d 'The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`' -r
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from export" -l private -d 'Write the private keys into this new file (PEM, mode 0600)' -r -F
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from export" -l public -d 'The public JWKS, which is the default'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from export" -l data-uri -d 'The public JWKS as a `data:` URI'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from export" -l json -d 'With --private: print the result as JSON'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from generate" -s o -l output -d 'The new file (PEM, mode 0600)' -r -F
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from generate" -l algorithm -d 'The key\'s signature algorithm' -r -f -a "RS256\t''
ES256\t''
EdDSA\t''"
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from generate" -l base64 -d 'The base64 of the PEM, on one line: for variables that cannot hold line breaks'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from generate" -l json -d 'JSON instead of text'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from generate" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "list" -d 'The keys, their states and times'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "rotate" -d 'Publish a new key; it signs once every cache can have seen it'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "import" -d 'Import an existing private key, PEM or JWK'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "export" -d 'Print the public key set, or write the private keys into a file for a backup'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "generate" -d 'Make a key for `store = "env:NAME"`, in a file of its own'
complete -c countersign -n "__fish_countersign_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c countersign -n "__fish_countersign_using_subcommand init" -l upstream -d 'The auth server, `https://auth.example.com`' -r -f
complete -c countersign -n "__fish_countersign_using_subcommand init" -l from -d 'Ask this address, the issuer or its JWKS, and write the `[[issuer]]` that fits' -r -f
complete -c countersign -n "__fish_countersign_using_subcommand init" -l issuer -d '`iss` of the tokens, where it is not the address' -r
complete -c countersign -n "__fish_countersign_using_subcommand init" -l public-url -d 'What clients and the verifier will call this proxy' -r -f
complete -c countersign -n "__fish_countersign_using_subcommand init" -l audience -d 'The `aud` of your tokens (the client ID)' -r
complete -c countersign -n "__fish_countersign_using_subcommand init" -s o -l output -d 'The file to write, or `-` for stdout' -r -F
complete -c countersign -n "__fish_countersign_using_subcommand init" -l force -d 'Overwrite the file'
complete -c countersign -n "__fish_countersign_using_subcommand init" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand healthcheck" -l admin -d 'The admin listener of the proxy' -r
complete -c countersign -n "__fish_countersign_using_subcommand healthcheck" -l timeout -d 'Seconds to wait for the answer' -r
complete -c countersign -n "__fish_countersign_using_subcommand healthcheck" -l live -d 'Ask whether it is alive (`/healthz`) instead of ready (`/readyz`)'
complete -c countersign -n "__fish_countersign_using_subcommand healthcheck" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand completions" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand version" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand man" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand schema" -s h -l help -d 'Print help'
complete -c countersign -n "__fish_countersign_using_subcommand help; and not __fish_seen_subcommand_from run demo normalize verify resign doctor inspect keys init healthcheck completions version man schema help" -f -a "run" -d 'Run the proxy'
complete -c countersign -n "__fish_countersign_using_subcommand help; and not __fish_seen_subcommand_from run demo normalize verify resign doctor inspect keys init healthcheck completions version man schema help" -f -a "demo" -d 'Show the main job on an embedded, broken issuer'
complete -c countersign -n "__fish_countersign_using_subcommand help; and not __fish_seen_subcommand_from run demo normalize verify resign doctor inspect keys init healthcheck completions version man schema help" -f -a "normalize" -d 'Normalise a JWKS: the document on stdout, what was done on stderr'
complete -c countersign -n "__fish_countersign_using_subcommand help; and not __fish_seen_subcommand_from run demo normalize verify resign doctor inspect keys init healthcheck completions version man schema help" -f -a "verify" -d 'Check the signature of a JWS against a key set'
complete -c countersign -n "__fish_countersign_using_subcommand help; and not __fish_seen_subcommand_from run demo normalize verify resign doctor inspect keys init healthcheck completions version man schema help" -f -a "resign" -d 'Countersign one token offline, as the proxy would'
complete -c countersign -n "__fish_countersign_using_subcommand help; and not __fish_seen_subcommand_from run demo normalize verify resign doctor inspect keys init healthcheck completions version man schema help" -f -a "doctor" -d 'Find out why a verifier refuses an issuer, and how to fix it'
complete -c countersign -n "__fish_countersign_using_subcommand help; and not __fish_seen_subcommand_from run demo normalize verify resign doctor inspect keys init healthcheck completions version man schema help" -f -a "inspect" -d 'Decode a token without trusting it'
complete -c countersign -n "__fish_countersign_using_subcommand help; and not __fish_seen_subcommand_from run demo normalize verify resign doctor inspect keys init healthcheck completions version man schema help" -f -a "keys" -d 'List, rotate, import, export or make signing keys'
complete -c countersign -n "__fish_countersign_using_subcommand help; and not __fish_seen_subcommand_from run demo normalize verify resign doctor inspect keys init healthcheck completions version man schema help" -f -a "init" -d 'Write a commented countersign.toml'
complete -c countersign -n "__fish_countersign_using_subcommand help; and not __fish_seen_subcommand_from run demo normalize verify resign doctor inspect keys init healthcheck completions version man schema help" -f -a "healthcheck" -d 'Ask a running proxy whether it is ready (for a container\'s health check)'
complete -c countersign -n "__fish_countersign_using_subcommand help; and not __fish_seen_subcommand_from run demo normalize verify resign doctor inspect keys init healthcheck completions version man schema help" -f -a "completions" -d 'Print shell completions'
complete -c countersign -n "__fish_countersign_using_subcommand help; and not __fish_seen_subcommand_from run demo normalize verify resign doctor inspect keys init healthcheck completions version man schema help" -f -a "version" -d 'Print the version'
complete -c countersign -n "__fish_countersign_using_subcommand help; and not __fish_seen_subcommand_from run demo normalize verify resign doctor inspect keys init healthcheck completions version man schema help" -f -a "man" -d 'Write the man pages'
complete -c countersign -n "__fish_countersign_using_subcommand help; and not __fish_seen_subcommand_from run demo normalize verify resign doctor inspect keys init healthcheck completions version man schema help" -f -a "schema" -d 'Print the JSON schema of countersign.toml'
complete -c countersign -n "__fish_countersign_using_subcommand help; and not __fish_seen_subcommand_from run demo normalize verify resign doctor inspect keys init healthcheck completions version man schema help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c countersign -n "__fish_countersign_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "list" -d 'The keys, their states and times'
complete -c countersign -n "__fish_countersign_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "rotate" -d 'Publish a new key; it signs once every cache can have seen it'
complete -c countersign -n "__fish_countersign_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "import" -d 'Import an existing private key, PEM or JWK'
complete -c countersign -n "__fish_countersign_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "export" -d 'Print the public key set, or write the private keys into a file for a backup'
complete -c countersign -n "__fish_countersign_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "generate" -d 'Make a key for `store = "env:NAME"`, in a file of its own'
