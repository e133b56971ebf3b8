
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
            [CompletionResult]::new('keys', 'keys', [CompletionResultType]::ParameterValue, 'List, rotate, import or export the signing keys')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Write a commented countersign.toml')
            [CompletionResult]::new('healthcheck', 'healthcheck', [CompletionResultType]::ParameterValue, 'Ask a running proxy whether it is ready (for a container''s health check)')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print shell completions')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Write the man pages')
            [CompletionResult]::new('schema', 'schema', [CompletionResultType]::ParameterValue, 'Print the JSON schema of countersign.toml')
            break
        }
        'countersign;run' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file (TOML)')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file (TOML)')
            [CompletionResult]::new('--upstream', '--upstream', [CompletionResultType]::ParameterName, 'The auth server, `https://auth.example.com`; alone it is enough')
            [CompletionResult]::new('--upstream-host', '--upstream-host', [CompletionResultType]::ParameterName, 'The `Host` the auth server hears: `client`, `upstream` or a name [default: `upstream` for an `https` upstream that has another name than the public URL, else `client`]')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Address of the public listener [default: 127.0.0.1:8080]')
            [CompletionResult]::new('--public-url', '--public-url', [CompletionResultType]::ParameterName, 'What clients and the verifier call this proxy, `https://auth.example.com`')
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'Address of the admin listener, or `off` [default: 127.0.0.1:9090]')
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'Where signing keys and last good key sets are kept')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Proxy threads [default: one per core]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The verifier to please: `convex` or `standard` [default: convex]')
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
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Publish what this verifier takes: `convex` or `standard`')
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
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file (TOML)')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file (TOML)')
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'Where the signing keys are kept, instead of the configuration''s')
            [CompletionResult]::new('--audience', '--audience', [CompletionResultType]::ParameterName, 'The audience wanted, where the token names several')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object instead of the token alone')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;doctor' {
            [CompletionResult]::new('--token', '--token', [CompletionResultType]::ParameterName, 'A token to check too, or `@FILE`')
            [CompletionResult]::new('--issuer', '--issuer', [CompletionResultType]::ParameterName, '`iss` the verifier is configured with [default: the address]')
            [CompletionResult]::new('--audience', '--audience', [CompletionResultType]::ParameterName, '`aud` the verifier is configured with')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The verifier: `convex` or `standard`')
            [CompletionResult]::new('--for', '--for', [CompletionResultType]::ParameterName, 'The kind of provider that must accept; without it, either is enough')
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
            [CompletionResult]::new('import', 'import', [CompletionResultType]::ParameterValue, 'Take in an existing private key, PEM or JWK')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Print the public set, or the private keys for a backup')
            break
        }
        'countersign;keys;list' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file, for its store and algorithm')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file, for its store and algorithm')
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'Where the signing keys are kept')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'JSON instead of a table')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;keys;rotate' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file, for its store and algorithm')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file, for its store and algorithm')
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'Where the signing keys are kept')
            [CompletionResult]::new('--now', '--now', [CompletionResultType]::ParameterName, 'Sign with it at once (after a compromise: verifiers refuse tokens until they refetch)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'json')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;keys;import' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file, for its store and algorithm')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file, for its store and algorithm')
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'Where the signing keys are kept')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'json')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;keys;export' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file, for its store and algorithm')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file, for its store and algorithm')
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'Where the signing keys are kept')
            [CompletionResult]::new('--public', '--public', [CompletionResultType]::ParameterName, 'The public JWKS alone')
            [CompletionResult]::new('--data-uri', '--data-uri', [CompletionResultType]::ParameterName, 'The public JWKS as a `data:` URI')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'countersign;init' {
            [CompletionResult]::new('--upstream', '--upstream', [CompletionResultType]::ParameterName, 'The auth server, `https://auth.example.com`')
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
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
