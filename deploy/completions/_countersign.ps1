
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'countersign' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'countersign'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'countersign' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Run the proxy')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Show the main job on an embedded, broken issuer')
            [CompletionResult]::new('normalize', 'normalize', [CompletionResultType]::ParameterValue, 'Normalise a JWKS: the document on stdout, what was done on stderr')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check the signature of a JWS against a key set')
            [CompletionResult]::new('resign', 'resign', [CompletionResultType]::ParameterValue, 'Countersign one token offline, as the proxy would')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Find out why a verifier refuses an issuer, and how to fix it')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Decode a token without trusting it')
            [CompletionResult]::new('keys', 'keys', [CompletionResultType]::ParameterValue, 'List, rotate, import, export or make signing keys')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Write a commented countersign.toml')
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Ask a running proxy whether it is ready (for a container''s health check)')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print shell completions')
            [CompletionResult]::new('version', 'version', [CompletionResultType]::ParameterValue, 'Print the version')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Write the man pages')
            [CompletionResult]::new('schema', 'schema', [CompletionResultType]::ParameterValue, 'Print the JSON schema of countersign.toml')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'countersign;run' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file (TOML) [default: countersign.toml, where there is one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file (TOML) [default: countersign.toml, where there is one]')
            [CompletionResult]::new('--upstream', '--upstream', [CompletionResultType]::ParameterName, 'The auth server, `https://auth.example.com`; alone it is enough')
            [CompletionResult]::new('--upstream-host', '--upstream-host', [CompletionResultType]::ParameterName, 'The `Host` sent to the auth server: `client`, `upstream` or a name [default: `upstream` for an `https` upstream that has another name than the public URL, else `client`]')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Address of the public listener [default: every address at port PORT where that variable is set, else 127.0.0.1:8080]')
            [CompletionResult]::new('--public-url', '--public-url', [CompletionResultType]::ParameterName, 'What clients and the verifier call this proxy, `https://auth.example.com`')
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'Address of the admin listener, or `off` [default: 127.0.0.1:9090]')
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'Where signing keys and last good key sets are kept')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the signing keys are kept: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Proxy threads [default: one per core]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The verifier to satisfy: `convex`, `standard`, `federation`, `hasura` or `login` [default: convex]')
            [CompletionResult]::new('--log', '--log', [CompletionResultType]::ParameterName, '`error`, `warn`, `info`, `debug`, `trace`, or `target=level` pairs [default: info]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, '`text` or `json` [default: text]')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Check the configuration and exit')
            [CompletionResult]::new('--upgrade', '--upgrade', [CompletionResultType]::ParameterName, 'Take over the listeners of a running proxy without dropping a connection')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;demo' {
            [CompletionResult]::new('--serve', '--serve', [CompletionResultType]::ParameterName, 'Keep issuer and proxy running after the demonstration')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object instead of text')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;normalize' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Publish what this verifier accepts: `convex`, `standard`, `federation`, `hasura` or `login`')
            [CompletionResult]::new('--report', '--report', [CompletionResultType]::ParameterName, 'How the report on stderr is written')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;verify' {
            [CompletionResult]::new('--jwks', '--jwks', [CompletionResultType]::ParameterName, 'The key set: a file or an address (with --batch a line may bring its own)')
            [CompletionResult]::new('--alg', '--alg', [CompletionResultType]::ParameterName, 'Allow this algorithm; repeat for more [default: every asymmetric one]')
            [CompletionResult]::new('--batch', '--batch', [CompletionResultType]::ParameterName, 'JSON lines in (`{"token":…}` or `{"token":…,"jwks":{…}}`), `{"valid":…,"reason":…}` out')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object instead of text')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;resign' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file of the proxy [default: countersign.toml, where there is one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file of the proxy [default: countersign.toml, where there is one]')
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'Where the signing keys are kept')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`')
            [CompletionResult]::new('--audience', '--audience', [CompletionResultType]::ParameterName, 'The audience to keep if the token has several')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object instead of the token alone')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;doctor' {
            [CompletionResult]::new('--token', '--token', [CompletionResultType]::ParameterName, 'A token to check too, or `@FILE`. Give two of one person to see which claims change')
            [CompletionResult]::new('--issuer', '--issuer', [CompletionResultType]::ParameterName, '`iss` the verifier is configured with [default: the address]')
            [CompletionResult]::new('--audience', '--audience', [CompletionResultType]::ParameterName, '`aud` the verifier is configured with')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The verifier: `convex`, `standard`, `federation`, `hasura` or `login`')
            [CompletionResult]::new('--for', '--for', [CompletionResultType]::ParameterName, 'The kind of provider that must accept; without it, either is enough')
            [CompletionResult]::new('--allow-private', '--allow-private', [CompletionResultType]::ParameterName, 'Follow documents and redirects into private networks')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show every check, not only the faults')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show every check, not only the faults')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object instead of text')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;inspect' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object instead of text')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;keys' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'The keys, their states and times')
            [CompletionResult]::new('rotate', 'rotate', [CompletionResultType]::ParameterValue, 'Publish a new key; it signs once every cache can have seen it')
            [CompletionResult]::new('import', 'import', [CompletionResultType]::ParameterValue, 'Import an existing private key, PEM or JWK')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Print the public key set, or write the private keys into a file for a backup')
            [CompletionResult]::new('generate', 'generate', [CompletionResultType]::ParameterValue, 'Make a key for `store = "env:NAME"`, in a file of its own')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'countersign;keys;list' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file of the proxy [default: countersign.toml, where there is one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file of the proxy [default: countersign.toml, where there is one]')
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'Where the signing keys are kept')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'JSON instead of a table')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;keys;rotate' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file of the proxy [default: countersign.toml, where there is one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file of the proxy [default: countersign.toml, where there is one]')
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'Where the signing keys are kept')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`')
            [CompletionResult]::new('--now', '--now', [CompletionResultType]::ParameterName, 'Sign with it at once (after a compromise: verifiers refuse tokens until they refetch)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'JSON instead of text')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;keys;import' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file of the proxy [default: countersign.toml, where there is one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file of the proxy [default: countersign.toml, where there is one]')
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'Where the signing keys are kept')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'JSON instead of text')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;keys;export' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file of the proxy [default: countersign.toml, where there is one]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file of the proxy [default: countersign.toml, where there is one]')
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'Where the signing keys are kept')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`')
            [CompletionResult]::new('--private', '--private', [CompletionResultType]::ParameterName, 'Write the private keys into this new file (PEM, mode 0600)')
            [CompletionResult]::new('--public', '--public', [CompletionResultType]::ParameterName, 'The public JWKS, which is the default')
            [CompletionResult]::new('--data-uri', '--data-uri', [CompletionResultType]::ParameterName, 'The public JWKS as a `data:` URI')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'With --private: print the result as JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;keys;generate' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The new file (PEM, mode 0600)')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The new file (PEM, mode 0600)')
            [CompletionResult]::new('--algorithm', '--algorithm', [CompletionResultType]::ParameterName, 'The key''s signature algorithm')
            [CompletionResult]::new('--base64', '--base64', [CompletionResultType]::ParameterName, 'The base64 of the PEM, on one line: for variables that cannot hold line breaks')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'JSON instead of text')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;keys;help' {
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'The keys, their states and times')
            [CompletionResult]::new('rotate', 'rotate', [CompletionResultType]::ParameterValue, 'Publish a new key; it signs once every cache can have seen it')
            [CompletionResult]::new('import', 'import', [CompletionResultType]::ParameterValue, 'Import an existing private key, PEM or JWK')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Print the public key set, or write the private keys into a file for a backup')
            [CompletionResult]::new('generate', 'generate', [CompletionResultType]::ParameterValue, 'Make a key for `store = "env:NAME"`, in a file of its own')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'countersign;keys;help;list' {
            break
        }
        'countersign;keys;help;rotate' {
            break
        }
        'countersign;keys;help;import' {
            break
        }
        'countersign;keys;help;export' {
            break
        }
        'countersign;keys;help;generate' {
            break
        }
        'countersign;keys;help;help' {
            break
        }
        'countersign;init' {
            [CompletionResult]::new('--upstream', '--upstream', [CompletionResultType]::ParameterName, 'The auth server, `https://auth.example.com`')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Ask this address, the issuer or its JWKS, and write the `[[issuer]]` that fits')
            [CompletionResult]::new('--issuer', '--issuer', [CompletionResultType]::ParameterName, '`iss` of the tokens, where it is not the address')
            [CompletionResult]::new('--public-url', '--public-url', [CompletionResultType]::ParameterName, 'What clients and the verifier will call this proxy')
            [CompletionResult]::new('--audience', '--audience', [CompletionResultType]::ParameterName, 'The `aud` of your tokens (the client ID)')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The file to write, or `-` for stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The file to write, or `-` for stdout')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Overwrite the file')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;healthcheck' {
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'The admin listener of the proxy')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Seconds to wait for the answer')
            [CompletionResult]::new('--live', '--live', [CompletionResultType]::ParameterName, 'Ask whether it is alive (`/healthz`) instead of ready (`/readyz`)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;completions' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;version' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;man' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;schema' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;help' {
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Run the proxy')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Show the main job on an embedded, broken issuer')
            [CompletionResult]::new('normalize', 'normalize', [CompletionResultType]::ParameterValue, 'Normalise a JWKS: the document on stdout, what was done on stderr')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check the signature of a JWS against a key set')
            [CompletionResult]::new('resign', 'resign', [CompletionResultType]::ParameterValue, 'Countersign one token offline, as the proxy would')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Find out why a verifier refuses an issuer, and how to fix it')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Decode a token without trusting it')
            [CompletionResult]::new('keys', 'keys', [CompletionResultType]::ParameterValue, 'List, rotate, import, export or make signing keys')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Write a commented countersign.toml')
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Ask a running proxy whether it is ready (for a container''s health check)')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print shell completions')
            [CompletionResult]::new('version', 'version', [CompletionResultType]::ParameterValue, 'Print the version')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Write the man pages')
            [CompletionResult]::new('schema', 'schema', [CompletionResultType]::ParameterValue, 'Print the JSON schema of countersign.toml')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'countersign;help;run' {
            break
        }
        'countersign;help;demo' {
            break
        }
        'countersign;help;normalize' {
            break
        }
        'countersign;help;verify' {
            break
        }
        'countersign;help;resign' {
            break
        }
        'countersign;help;doctor' {
            break
        }
        'countersign;help;inspect' {
            break
        }
        'countersign;help;keys' {
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'The keys, their states and times')
            [CompletionResult]::new('rotate', 'rotate', [CompletionResultType]::ParameterValue, 'Publish a new key; it signs once every cache can have seen it')
            [CompletionResult]::new('import', 'import', [CompletionResultType]::ParameterValue, 'Import an existing private key, PEM or JWK')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Print the public key set, or write the private keys into a file for a backup')
            [CompletionResult]::new('generate', 'generate', [CompletionResultType]::ParameterValue, 'Make a key for `store = "env:NAME"`, in a file of its own')
            break
        }
        'countersign;help;keys;list' {
            break
        }
        'countersign;help;keys;rotate' {
            break
        }
        'countersign;help;keys;import' {
            break
        }
        'countersign;help;keys;export' {
            break
        }
        'countersign;help;keys;generate' {
            break
        }
        'countersign;help;init' {
            break
        }
        'countersign;help;healthcheck' {
            break
        }
        'countersign;help;completions' {
            break
        }
        'countersign;help;version' {
            break
        }
        'countersign;help;man' {
            break
        }
        'countersign;help;schema' {
            break
        }
        'countersign;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
