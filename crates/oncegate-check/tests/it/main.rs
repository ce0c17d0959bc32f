//! The checker against origins: one that does it right, and others that are broken on purpose.

#[cfg(test)]
mod dialects;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod hostile;
#[cfg(feature = "openapi")]
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod recorder;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod restartable;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod scripts;
#[cfg(test)]
mod verdicts;
#[cfg(test)]
mod witnesses;
