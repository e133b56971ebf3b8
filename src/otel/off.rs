//! The same without the feature: nothing, at no cost.

use crate::dns::Resolver;
use crate::jose::names::IssuerName;

use super::{Ended, OtelSettings, Outcome};

#[derive(Debug, Clone, Default)]
pub struct Spans;

impl Spans {
    /// # Errors
    /// None; the configuration refuses settings that nothing here could follow.
    pub fn start(_settings: Option<&OtelSettings>, _resolver: &Resolver) -> Result<Self, String> {
        Ok(Self)
    }

    #[inline]
    pub fn request(&self, _headers: &http::HeaderMap) -> RequestSpan {
        RequestSpan
    }

    #[inline]
    pub fn fetch(&self, _parent: &Parent) -> Work {
        Work
    }

    pub fn shutdown(&self) {}
}

#[derive(Debug, Default)]
pub struct RequestSpan;

impl RequestSpan {
    #[inline]
    pub fn outgoing(&self) -> Option<Outgoing> {
        None
    }

    #[inline]
    pub fn within<F>(&self, work: F) -> F {
        work
    }

    #[inline]
    pub fn end(&mut self, _ended: &Ended<'_>) {}
}

/// There is none.
#[derive(Debug, Clone)]
pub enum Outgoing {}

impl Outgoing {
    /// # Errors
    /// None.
    pub fn write(&self, _header: &mut pingora::http::RequestHeader) -> pingora::Result<()> {
        match *self {}
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Parent;

impl Parent {
    #[inline]
    pub fn current() -> Self {
        Self
    }

    #[inline]
    pub fn within<F>(self, work: F) -> F {
        work
    }
}

#[derive(Debug)]
pub struct Work;

impl Work {
    #[inline]
    pub fn countersign() -> Self {
        Self
    }

    #[inline]
    pub fn end(self, _outcome: &Outcome<'_>) {}
}

#[inline]
pub fn issuer(_name: &IssuerName) {}
