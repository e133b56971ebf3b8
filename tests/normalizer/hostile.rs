//! Bodies made to cost time or memory.
