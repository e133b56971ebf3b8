//! Random sets with random faults.
