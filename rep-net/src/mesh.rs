//! Meshes in memory: a handful of nodes each of which reaches each other one, and endpoints that are known by keys of your own.
//!
//! [`NodeMesh`] is for tests and for clusters in one process: between any two nodes lies one [`Channel`](crate::Channel), nodes
//! crash and come back, and a single direction between two of them can be cut. [`Mesh`] is for handing things on: an [`Endpoint`] a
//! key, one-way connections between them, each frame with the key of its source.

mod endpoint;
mod nodes;

pub use endpoint::{Endpoint, EndpointError, Mesh};
pub use nodes::{Cut, MeshChannel, MeshError, NodeMesh};
