//! The parts of a proxy that handle keys, without the proxy: issuers, ring and published sets, with
//! a clock that the test sets.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign::clock::Clock;
use countersign::dns::Resolver;
use countersign::issuer::{
    FetchSettings, IssuerDeps, IssuerSettings, Issuers, Publisher, RefreshSettings, Source,
};
use countersign::jose::alg::Alg;
use countersign::jose::jwks::Options;
use countersign::jose::names::{Issuer, IssuerName, Limits};
use countersign::jose::policy::IssuerPolicy;
use countersign::keyring::{Keyring, KeyringSettings, StoreSettings};
use countersign::profile::Profile;
use tokio::sync::watch;

pub const MAX_AGE: Duration = Duration::from_secs(300);

pub fn issuer(name: &str, source: Source) -> IssuerSettings {
    let iss = Issuer::parse(&format!("https://{name}.example")).unwrap();
    IssuerSettings {
        policy: IssuerPolicy::new(IssuerName::parse(name).unwrap(), vec![iss]),
        source,
        jwks_paths: Vec::new(),
        refresh: RefreshSettings::default(),
        fetch: FetchSettings {
            connect_timeout: Duration::from_millis(500),
            total_timeout: Duration::from_millis(800),
            ..FetchSettings::default()
        },
        limits: Limits::default(),
    }
}

pub fn issuers(
    settings: Vec<IssuerSettings>,
    data_dir: Option<&Path>,
    clock: &Clock,
) -> Arc<Issuers> {
    let deps = IssuerDeps {
        clock: clock.clone(),
        resolver: Resolver::system().unwrap(),
        data_dir: data_dir.map(Path::to_owned),
        options: Options::default(),
    };
    Issuers::new(settings, deps).unwrap()
}

pub fn ring_settings(dir: &Path) -> KeyringSettings {
    KeyringSettings {
        algorithm: Alg::Es256,
        store: StoreSettings::File(dir.to_owned()),
        rotate_every: None,
        max_age: MAX_AGE,
        skew: Duration::from_secs(5),
        outage: Duration::ZERO,
    }
}

/// All parts, running until dropped.
pub struct Parts {
    pub clock: Clock,
    pub issuers: Arc<Issuers>,
    pub keyring: Arc<Keyring>,
    pub publisher: Arc<Publisher>,
    stop: watch::Sender<bool>,
}

impl Parts {
    pub async fn start(settings: Vec<IssuerSettings>, dir: &Path, clock: Clock) -> Self {
        let keyring = Keyring::open(ring_settings(&dir.join("keys")), clock.clone()).await.unwrap();
        Self::with(settings, dir, clock, keyring)
    }

    pub fn with(
        settings: Vec<IssuerSettings>,
        dir: &Path,
        clock: Clock,
        keyring: Arc<Keyring>,
    ) -> Self {
        Self::serving(settings, dir, clock, keyring, &Profile::named("standard").unwrap(), MAX_AGE)
    }

    pub fn serving(
        settings: Vec<IssuerSettings>,
        dir: &Path,
        clock: Clock,
        keyring: Arc<Keyring>,
        profile: &Profile,
        max_age: Duration,
    ) -> Self {
        let issuers = issuers(settings, Some(dir), &clock);
        let publisher = Publisher::new(
            Arc::clone(&issuers),
            Arc::clone(&keyring),
            profile.clone(),
            max_age,
            clock.clone(),
        );
        let (stop, shutdown) = watch::channel(false);
        let (i, k, p) = (Arc::clone(&issuers), Arc::clone(&keyring), Arc::clone(&publisher));
        let (s1, s2, s3) = (shutdown.clone(), shutdown.clone(), shutdown);
        tokio::spawn(async move { i.run(s1).await });
        tokio::spawn(async move { k.run(s2).await });
        tokio::spawn(async move { p.run(s3).await });
        Self { clock, issuers, keyring, publisher, stop }
    }

    pub fn stop(&self) {
        let _ = self.stop.send(true);
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Polls until `so` is true. The test fails after the time limit.
pub async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..1500 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
