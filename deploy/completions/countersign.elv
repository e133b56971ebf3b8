
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
            cand keys 'List, rotate, import or export the signing keys'
            cand init 'Write a commented countersign.toml'
            cand healthcheck 'Ask a running proxy whether it is ready (for a container''s health check)'
            cand completions 'Print shell completions'
            cand man 'Write the man pages'
            cand schema 'Print the JSON schema of countersign.toml'
        }
        &'countersign;run'= {
            cand -c 'Configuration file (TOML)'
            cand --config 'Configuration file (TOML)'
            cand --upstream 'The auth server, `https://auth.example.com`; alone it is enough'
            cand --upstream-host 'The `Host` the auth server hears: `client`, `upstream` or a name [default: `upstream` for an `https` upstream that has another name than the public URL, else `client`]'
            cand --listen 'Address of the public listener [default: 127.0.0.1:8080]'
            cand --public-url 'What clients and the verifier call this proxy, `https://auth.example.com`'
            cand --admin 'Address of the admin listener, or `off` [default: 127.0.0.1:9090]'
            cand --data-dir 'Where signing keys and last good key sets are kept'
            cand --threads 'Proxy threads [default: one per core]'
            cand --profile 'The verifier to please: `convex` or `standard` [default: convex]'
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
            cand --profile 'Publish what this verifier takes: `convex` or `standard`'
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
            cand -c 'Configuration file (TOML)'
            cand --config 'Configuration file (TOML)'
            cand --data-dir 'Where the signing keys are kept, instead of the configuration''s'
            cand --audience 'The audience wanted, where the token names several'
            cand --json 'One JSON object instead of the token alone'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;doctor'= {
            cand --token 'A token to check too, or `@FILE`'
            cand --issuer '`iss` the verifier is configured with [default: the address]'
            cand --audience '`aud` the verifier is configured with'
            cand --profile 'The verifier: `convex` or `standard`'
            cand --for 'The kind of provider that must accept; without it, either is enough'
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
            cand import 'Take in an existing private key, PEM or JWK'
            cand export 'Print the public set, or the private keys for a backup'
        }
        &'countersign;keys;list'= {
            cand -c 'Configuration file, for its store and algorithm'
            cand --config 'Configuration file, for its store and algorithm'
            cand --data-dir 'Where the signing keys are kept'
            cand --json 'JSON instead of a table'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;keys;rotate'= {
            cand -c 'Configuration file, for its store and algorithm'
            cand --config 'Configuration file, for its store and algorithm'
            cand --data-dir 'Where the signing keys are kept'
            cand --now 'Sign with it at once (after a compromise: verifiers refuse tokens until they refetch)'
            cand --json 'json'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;keys;import'= {
            cand -c 'Configuration file, for its store and algorithm'
            cand --config 'Configuration file, for its store and algorithm'
            cand --data-dir 'Where the signing keys are kept'
            cand --json 'json'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;keys;export'= {
            cand -c 'Configuration file, for its store and algorithm'
            cand --config 'Configuration file, for its store and algorithm'
            cand --data-dir 'Where the signing keys are kept'
            cand --public 'The public JWKS alone'
            cand --data-uri 'The public JWKS as a `data:` URI'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;init'= {
            cand --upstream 'The auth server, `https://auth.example.com`'
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
        &'countersign;man'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'countersign;schema'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
    ]
    $completions[$command]
}
