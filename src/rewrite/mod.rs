//! Where tokens stand in an answer or a request. Pure: bytes in, places and spliced bytes out.
