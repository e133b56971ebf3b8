# A template: scripts/release-files fills in version, address and checksums.
class Countersign < Formula
  desc "Makes any auth server's JWKS and tokens acceptable to strict verifiers"
  homepage "@REPOSITORY@"
  version "@VERSION@"
  license "Apache-2.0"

  base = "@REPOSITORY@/releases/download/v@VERSION@/countersign-@VERSION@-"

  on_macos do
    on_arm do
      url "#{base}aarch64-apple-darwin.tar.gz"
      sha256 "@SHA256 aarch64-apple-darwin@"
    end
    on_intel do
      url "#{base}x86_64-apple-darwin.tar.gz"
      sha256 "@SHA256 x86_64-apple-darwin@"
    end
  end

  on_linux do
    on_arm do
      url "#{base}aarch64-unknown-linux-gnu.tar.gz"
      sha256 "@SHA256 aarch64-unknown-linux-gnu@"
    end
    on_intel do
      url "#{base}x86_64-unknown-linux-gnu.tar.gz"
      sha256 "@SHA256 x86_64-unknown-linux-gnu@"
    end
  end

  def install
    bin.install "countersign"
    man1.install Dir["deploy/man/*.1"]
    bash_completion.install "deploy/completions/countersign.bash" => "countersign"
    zsh_completion.install "deploy/completions/_countersign"
    fish_completion.install "deploy/completions/countersign.fish"
    pkgetc.install "conf/countersign.toml"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/countersign --version")
    assert_match "ACCEPT", shell_output("#{bin}/countersign demo")
  end
end
