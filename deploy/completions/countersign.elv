
use builtin;
use str;

set edit:completion:arg-completer[countersign] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'countersign'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'countersign'= {
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand run 'Run the proxy'
            cand demo 'Show the main job on an embedded, broken issuer'
            cand normalize 'Normalise a JWKS: the document on stdout, what was done on stderr'
            cand verify 'Check the signature of a JWS against a key set'
            cand resign 'Countersign one token offline, as the proxy would'
            cand doctor 'Find out why a verifier refuses an issuer, and how to fix it'
            cand inspect 'Decode a token without trusting it'
            cand keys 'List, rotate, import, export or make signing keys'
            cand init 'Write a commented countersign.toml'
            cand healthcheck 'Ask a running proxy whether it is ready (for a container''s health check)'
            cand completions 'Print shell completions'
            cand version 'Print the version'
            cand man 'Write the man pages'
            cand schema 'Print the JSON schema of countersign.toml'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'countersign;run'= {
            cand -c 'Configuration file (TOML) [default: countersign.toml, where there is one]'
            cand --config 'Configuration file (TOML) [default: countersign.toml, where there is one]'
            cand --upstream 'The auth server, `https://auth.example.com`; alone it is enough'
            cand --upstream-host 'The `Host` sent to the auth server: `client`, `upstream` or a name [default: `upstream` for an `https` upstream that has another name than the public URL, else `client`]'
            cand --listen 'Address of the public listener [default: every address at port PORT where that variable is set, else 127.0.0.1:8080]'
            cand --public-url 'What clients and the verifier call this proxy, `https://auth.example.com`'
            cand --admin 'Address of the admin listener, or `off` [default: 127.0.0.1:9090]'
            cand --data-dir 'Where signing keys and last good key sets are kept'
            cand --store 'Where the signing keys are kept: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`'
            cand --threads 'Proxy threads [default: one per core]'
            cand --profile 'The verifier to satisfy: `convex`, `standard`, `federation`, `hasura` or `login` [default: convex]'
            cand --log '`error`, `warn`, `info`, `debug`, `trace`, or `target=level` pairs [default: info]'
            cand --log-format '`text` or `json` [default: text]'
            cand --check 'Check the configuration and exit'
            cand --upgrade 'Take over the listeners of a running proxy without dropping a connection'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;demo'= {
            cand --serve 'Keep issuer and proxy running after the demonstration'
            cand --json 'One JSON object instead of text'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;normalize'= {
            cand --profile 'Publish what this verifier accepts: `convex`, `standard`, `federation`, `hasura` or `login`'
            cand --report 'How the report on stderr is written'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;verify'= {
            cand --jwks 'The key set: a file or an address (with --batch a line may bring its own)'
            cand --alg 'Allow this algorithm; repeat for more [default: every asymmetric one]'
            cand --batch 'JSON lines in (`{"token":…}` or `{"token":…,"jwks":{…}}`), `{"valid":…,"reason":…}` out'
            cand --json 'One JSON object instead of text'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;resign'= {
            cand -c 'Configuration file of the proxy [default: countersign.toml, where there is one]'
            cand --config 'Configuration file of the proxy [default: countersign.toml, where there is one]'
            cand --data-dir 'Where the signing keys are kept'
            cand --store 'The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`'
            cand --audience 'The audience to keep if the token has several'
            cand --json 'One JSON object instead of the token alone'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;doctor'= {
            cand --token 'A token to check too, or `@FILE`. Give two of one person to see which claims change'
            cand --issuer '`iss` the verifier is configured with [default: the address]'
            cand --audience '`aud` the verifier is configured with'
            cand --profile 'The verifier: `convex`, `standard`, `federation`, `hasura` or `login`'
            cand --for 'The kind of provider that must accept; without it, either is enough'
            cand --allow-private 'Follow documents and redirects into private networks'
            cand -v 'Show every check, not only the faults'
            cand --verbose 'Show every check, not only the faults'
            cand --json 'One JSON object instead of text'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;inspect'= {
            cand --json 'One JSON object instead of text'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;keys'= {
            cand -h 'Print help'
            cand --help 'Print help'
            cand list 'The keys, their states and times'
            cand rotate 'Publish a new key; it signs once every cache can have seen it'
            cand import 'Import an existing private key, PEM or JWK'
            cand export 'Print the public key set, or write the private keys into a file for a backup'
            cand generate 'Make a key for `store = "env:NAME"`, in a file of its own'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'countersign;keys;list'= {
            cand -c 'Configuration file of the proxy [default: countersign.toml, where there is one]'
            cand --config 'Configuration file of the proxy [default: countersign.toml, where there is one]'
            cand --data-dir 'Where the signing keys are kept'
            cand --store 'The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`'
            cand --json 'JSON instead of a table'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;keys;rotate'= {
            cand -c 'Configuration file of the proxy [default: countersign.toml, where there is one]'
            cand --config 'Configuration file of the proxy [default: countersign.toml, where there is one]'
            cand --data-dir 'Where the signing keys are kept'
            cand --store 'The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`'
            cand --now 'Sign with it at once (after a compromise: verifiers refuse tokens until they refetch)'
            cand --json 'JSON instead of text'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;keys;import'= {
            cand -c 'Configuration file of the proxy [default: countersign.toml, where there is one]'
            cand --config 'Configuration file of the proxy [default: countersign.toml, where there is one]'
            cand --data-dir 'Where the signing keys are kept'
            cand --store 'The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`'
            cand --json 'JSON instead of text'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;keys;export'= {
            cand -c 'Configuration file of the proxy [default: countersign.toml, where there is one]'
            cand --config 'Configuration file of the proxy [default: countersign.toml, where there is one]'
            cand --data-dir 'Where the signing keys are kept'
            cand --store 'The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`'
            cand --private 'Write the private keys into this new file (PEM, mode 0600)'
            cand --public 'The public JWKS, which is the default'
            cand --data-uri 'The public JWKS as a `data:` URI'
            cand --json 'With --private: print the result as JSON'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;keys;generate'= {
            cand -o 'The new file (PEM, mode 0600)'
            cand --output 'The new file (PEM, mode 0600)'
            cand --algorithm 'The key''s signature algorithm'
            cand --base64 'The base64 of the PEM, on one line: for variables that cannot hold line breaks'
            cand --json 'JSON instead of text'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;keys;help'= {
            cand list 'The keys, their states and times'
            cand rotate 'Publish a new key; it signs once every cache can have seen it'
            cand import 'Import an existing private key, PEM or JWK'
            cand export 'Print the public key set, or write the private keys into a file for a backup'
            cand generate 'Make a key for `store = "env:NAME"`, in a file of its own'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'countersign;keys;help;list'= {
        }
        &'countersign;keys;help;rotate'= {
        }
        &'countersign;keys;help;import'= {
        }
        &'countersign;keys;help;export'= {
        }
        &'countersign;keys;help;generate'= {
        }
        &'countersign;keys;help;help'= {
        }
        &'countersign;init'= {
            cand --upstream 'The auth server, `https://auth.example.com`'
            cand --from 'Ask this address, the issuer or its JWKS, and write the `[[issuer]]` that fits'
            cand --issuer '`iss` of the tokens, where it is not the address'
            cand --public-url 'What clients and the verifier will call this proxy'
            cand --audience 'The `aud` of your tokens (the client ID)'
            cand -o 'The file to write, or `-` for stdout'
            cand --output 'The file to write, or `-` for stdout'
            cand --force 'Overwrite the file'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;healthcheck'= {
            cand --admin 'The admin listener of the proxy'
            cand --timeout 'Seconds to wait for the answer'
            cand --live 'Ask whether it is alive (`/healthz`) instead of ready (`/readyz`)'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;completions'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;version'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;man'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;schema'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;help'= {
            cand run 'Run the proxy'
            cand demo 'Show the main job on an embedded, broken issuer'
            cand normalize 'Normalise a JWKS: the document on stdout, what was done on stderr'
            cand verify 'Check the signature of a JWS against a key set'
            cand resign 'Countersign one token offline, as the proxy would'
            cand doctor 'Find out why a verifier refuses an issuer, and how to fix it'
            cand inspect 'Decode a token without trusting it'
            cand keys 'List, rotate, import, export or make signing keys'
            cand init 'Write a commented countersign.toml'
            cand healthcheck 'Ask a running proxy whether it is ready (for a container''s health check)'
            cand completions 'Print shell completions'
            cand version 'Print the version'
            cand man 'Write the man pages'
            cand schema 'Print the JSON schema of countersign.toml'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'countersign;help;run'= {
        }
        &'countersign;help;demo'= {
        }
        &'countersign;help;normalize'= {
        }
        &'countersign;help;verify'= {
        }
        &'countersign;help;resign'= {
        }
        &'countersign;help;doctor'= {
        }
        &'countersign;help;inspect'= {
        }
        &'countersign;help;keys'= {
            cand list 'The keys, their states and times'
            cand rotate 'Publish a new key; it signs once every cache can have seen it'
            cand import 'Import an existing private key, PEM or JWK'
            cand export 'Print the public key set, or write the private keys into a file for a backup'
            cand generate 'Make a key for `store = "env:NAME"`, in a file of its own'
        }
        &'countersign;help;keys;list'= {
        }
        &'countersign;help;keys;rotate'= {
        }
        &'countersign;help;keys;import'= {
        }
        &'countersign;help;keys;export'= {
        }
        &'countersign;help;keys;generate'= {
        }
        &'countersign;help;init'= {
        }
        &'countersign;help;healthcheck'= {
        }
        &'countersign;help;completions'= {
        }
        &'countersign;help;version'= {
        }
        &'countersign;help;man'= {
        }
        &'countersign;help;schema'= {
        }
        &'countersign;help;help'= {
        }
    ]
    $completions[$command]
}
