//! The only maker of [`VerifiedToken`].
