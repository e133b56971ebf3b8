//! The ring in Redis or Valkey, shared by replicas: one hash, changed by compare-and-set in a script, so that
//! each change happens once. Private keys are encrypted with AES-256-GCM before they leave the process.
//! Replicas learn of a change by publish/subscribe, or by polling if the message is lost.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands as _, Client, FromRedisValue, RedisError, Script, ScriptInvocation};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::redis_fault::{invalid_address, remote_error};
use super::ring::RingState;
use super::store::{Store, StoreError};
use super::stored::Seal;
use super::{RedisKey, atomic};
use crate::jose::names::Kid;

/// The ring's name if the address has no `?ring=NAME`.
const DEFAULT_RING: &str = "countersign";
/// How often to poll for a change whose message was lost.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// A store that answers later than this counts as unreachable; tokens do not wait for it.
const TIMEOUT: Duration = Duration::from_secs(2);
/// A replica that did not announce itself for this long does not count as running.
const ALIVE_FOR: Duration = Duration::from_secs(10);
/// Version of the format of an encrypted key.
const SEAL_VERSION: &str = "v1.";

/// KEYS: the hash. ARGV: expected epoch, new epoch, ring, channel.
const REPLACE: &str = r"
local there = redis.call('HGET', KEYS[1], 'epoch') or '0'
if there ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'ring', ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[2])
return 1
";

/// KEYS: the hash of replicas. ARGV: a replica, its epoch. Times are the server's, the one clock that all
/// replicas share. The hash expires after the last replica.
const ANNOUNCE: &str = r"
local now = redis.call('TIME')[1]
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. now)
redis.call('EXPIRE', KEYS[1], 86400)
return 1
";

/// KEYS: the hash of replicas. ARGV: seconds of silence after which one is forgotten. Returns the epochs.
const SERVED: &str = r"
local now = tonumber(redis.call('TIME')[1])
local all = redis.call('HGETALL', KEYS[1])
local epochs = {}
for i = 1, #all, 2 do
  local epoch, at = string.match(all[i + 1], '^(%d+) (%d+)$')
  if epoch and now - tonumber(at) <= tonumber(ARGV[1]) then
    epochs[#epochs + 1] = epoch
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return epochs
";

/// See the module.
pub struct RedisStore {
    connection: ConnectionManager,
    seal: GcmSeal,
    key: String,
    /// The hash of running replicas, with the epoch that each serves.
    replicas: String,
    /// This process in that hash.
    id: String,
    channel: String,
    /// The address, without the password.
    place: String,
    /// A message said that the ring has changed.
    changed: Arc<Notify>,
    /// The task that listens for these messages. It ends when the store is dropped.
    _listener: JoinSet<()>,
}

/// AES-256-GCM with random nonces. The ring's name and the kid are authenticated with each key, so that none
/// can be moved to another ring or kid.
struct GcmSeal {
    key: RandomizedNonceKey,
    ring: String,
}

impl GcmSeal {
    fn aad(&self, kid: &Kid) -> Aad<Vec<u8>> {
        Aad::from(format!("{}\n{kid}", self.ring).into_bytes())
    }
}

impl Seal for GcmSeal {
    fn seal(&self, kid: &Kid, pkcs8: &[u8]) -> Result<String, String> {
        let mut sealed = Zeroizing::new(pkcs8.to_vec());
        let nonce = self
            .key
            .seal_in_place_append_tag(self.aad(kid), &mut *sealed)
            .map_err(|_| "the private key could not be encrypted".to_owned())?;
        let mut text = SEAL_VERSION.to_owned();
        STANDARD.encode_string([nonce.as_ref(), &sealed[..]].concat(), &mut text);
        Ok(text)
    }

    fn open(&self, kid: &Kid, text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let wrong =
            || "the private key does not decrypt; is it the right encryption key?".to_owned();
        let sealed = text.strip_prefix(SEAL_VERSION).ok_or_else(wrong)?;
        let bytes = Zeroizing::new(STANDARD.decode(sealed).map_err(|_| wrong())?);
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(wrong)?;
        let mut plain = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length =
            self.key.open_in_place(nonce, self.aad(kid), &mut plain).map_err(|_| wrong())?.len();
        plain.truncate(length);
        Ok(plain)
    }
}

impl RedisStore {
    /// Connects on first use. `?ring=NAME` in the address keeps several rings apart.
    ///
    /// # Errors
    /// [`StoreError::Away`] for an invalid address.
    pub fn open(url: &str, key: &RedisKey) -> Result<Self, StoreError> {
        let invalid = |why: String| invalid_address("redis", why);
        let mut url = url::Url::parse(url).map_err(|e| invalid(e.to_string()))?;
        let (rings, others): (Vec<_>, Vec<_>) =
            url.query_pairs().into_owned().partition(|(name, _)| name == "ring");
        let ring =
            rings.into_iter().next().map_or_else(|| DEFAULT_RING.to_owned(), |(_, ring)| ring);
        url.set_query(None);
        if !others.is_empty() {
            url.query_pairs_mut().extend_pairs(others);
        }
        let (host, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or(6379));
        let place = format!("{}://{host}:{port}", url.scheme());
        let client = Client::open(url.as_str()).map_err(|e| remote_error(&place, &e))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT))
            .set_number_of_retries(1);
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), config)
            .map_err(|e| remote_error(&place, &e))?;
        let gcm = RandomizedNonceKey::new(&AES_256_GCM, &*key.0)
            .map_err(|_| invalid("the encryption key does not have 32 bytes".to_owned()))?;
        let channel = format!("{ring}:changed");
        let changed = Arc::new(Notify::new());
        let mut listener = JoinSet::new();
        listener.spawn(listen(client, channel.clone(), Arc::clone(&changed)));
        Ok(Self {
            connection,
            key: format!("{ring}:ring"),
            replicas: format!("{ring}:replicas"),
            id: atomic::random().map_err(|e| invalid(e.to_string()))?,
            seal: GcmSeal { key: gcm, ring },
            channel,
            place,
            changed,
            _listener: listener,
        })
    }

    async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, StoreError> {
        let mut connection = self.connection.clone();
        call.invoke_async(&mut connection).await.map_err(|e| remote_error(&self.place, &e))
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn load(&self, known: Option<Arc<RingState>>) -> Result<Option<RingState>, StoreError> {
        let mut connection = self.connection.clone();
        let text: Option<String> =
            connection.hget(&self.key, "ring").await.map_err(|e| remote_error(&self.place, &e))?;
        let Some(text) = text.map(Zeroizing::new) else { return Ok(None) };
        let ring = RingState::from_text(&text, &self.seal, known.as_deref());
        ring.map(Some).map_err(StoreError::ring(self.describe()))
    }

    async fn replace(&self, expected: u64, ring: Arc<RingState>) -> Result<bool, StoreError> {
        let text = ring.to_text(&self.seal).map_err(StoreError::ring(self.describe()))?;
        let script = Script::new(REPLACE);
        let mut call = script.key(&self.key);
        call.arg(expected).arg(ring.epoch).arg(text.as_str()).arg(&self.channel);
        Ok(self.run::<i64>(&call).await? == 1)
    }

    async fn changed(&self) {
        tokio::select! {
            () = self.changed.notified() => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }

    fn propagation_delay(&self) -> Duration {
        // One poll that just missed the change, and one slow answer.
        POLL_INTERVAL + TIMEOUT + Duration::from_secs(1)
    }

    fn describe(&self) -> String {
        format!("{} {}", self.place, self.key)
    }

    async fn announce(&self, epoch: u64) -> Result<(), StoreError> {
        let script = Script::new(ANNOUNCE);
        let mut call = script.key(&self.replicas);
        call.arg(&self.id).arg(epoch);
        self.run(&call).await
    }

    async fn withdraw(&self) {
        let mut connection = self.connection.clone();
        let _: Result<(), RedisError> = connection.hdel(&self.replicas, &self.id).await;
    }

    async fn served(&self) -> Result<Option<Vec<u64>>, StoreError> {
        let script = Script::new(SERVED);
        let mut call = script.key(&self.replicas);
        call.arg(ALIVE_FOR.as_secs());
        let epochs: Vec<String> = self.run(&call).await?;
        Ok(Some(epochs.iter().filter_map(|epoch| epoch.parse().ok()).collect()))
    }
}

/// Listens for changes while there is a connection. Polling covers the rest.
async fn listen(client: Client, channel: String, changed: Arc<Notify>) {
    loop {
        if let Ok(Ok(mut pubsub)) = tokio::time::timeout(TIMEOUT, client.get_async_pubsub()).await
            && pubsub.subscribe(&channel).await.is_ok()
        {
            let mut messages = pubsub.into_on_message();
            while messages.next().await.is_some() {
                changed.notify_one();
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(key: u8, ring: &str) -> GcmSeal {
        let key = RandomizedNonceKey::new(&AES_256_GCM, &[key; 32]).unwrap();
        GcmSeal { key, ring: ring.to_owned() }
    }

    #[test]
    fn a_sealed_key_opens_only_in_its_place_and_with_its_key() {
        let (a, b) = (Kid::parse("a").unwrap(), Kid::parse("b").unwrap());
        let text = seal(1, "ring").seal(&a, b"a private key").unwrap();
        assert!(!text.contains("private"));
        assert_ne!(text, seal(1, "ring").seal(&a, b"a private key").unwrap(), "a fresh nonce");
        assert_eq!(seal(1, "ring").open(&a, &text).unwrap().as_slice(), b"a private key");
        assert!(seal(2, "ring").open(&a, &text).is_err());
        assert!(seal(1, "other").open(&a, &text).is_err());
        assert!(seal(1, "ring").open(&b, &text).is_err());
        let mut bent = text.into_bytes();
        let last = bent.len() - 6;
        bent[last] ^= 1;
        assert!(seal(1, "ring").open(&a, &String::from_utf8(bent).unwrap()).is_err());
    }
}
