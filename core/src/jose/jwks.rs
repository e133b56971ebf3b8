//! Key sets: a document in; every usable public signature key out, and a report of the changes.

use super::collect::Collector;
pub use super::fault::DocumentRefusal;
pub use super::keyset::KeySet;
pub use super::other_document::OtherDocument;
pub use super::reading::{Normalized, Options};
pub use super::report::{Alarm, Change, Effect, Report};
use super::{shape, text};

/// Reads a key set document of any known shape.
///
/// # Errors
/// [`DocumentRefusal`] if the document can be read in more than one way.
pub fn normalize(document: &[u8], options: &Options) -> Result<Normalized, DocumentRefusal> {
    let mut collector = Collector::new(options);
    let text = text::read(document, options.limits.document, |code| collector.note("$", code))?;
    shape::walk(&text, &mut collector)?;
    collector.finish()
}
