//! The checker against origins: one that does it right, and others that are broken on purpose.

#[cfg(feature = "openapi")]
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod verdicts;
