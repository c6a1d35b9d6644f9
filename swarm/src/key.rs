//! Slab keys with a generation: a key kept too long names nobody, never somebody else.
//!
//! Not here: what is kept under the keys.

use std::marker::PhantomData;

/// A key of a [`Slab`]: where the value is, and how often that place was given out before.
pub trait SlabKey: Copy {
    /// Puts a key together.
    fn from_parts(index: u32, generation: u32) -> Self;
    /// The place.
    fn index(self) -> u32;
    /// How often the place was given out before.
    fn generation(self) -> u32;
}

/// Defines a key type, so that keys of different slabs can't be mixed up.
macro_rules! slab_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            pub(crate) index: u32,
            pub(crate) generation: u32,
        }

        impl $name {
            /// The place in its slab: small, dense, and used again once its owner is gone.
            #[inline]
            pub fn index(self) -> u32 {
                self.index
            }

            /// Tells apart those who had the same place one after the other.
            #[inline]
            pub fn generation(self) -> u32 {
                self.generation
            }
        }

        impl $crate::key::SlabKey for $name {
            #[inline]
            fn from_parts(index: u32, generation: u32) -> Self {
                Self { index, generation }
            }
            #[inline]
            fn index(self) -> u32 {
                self.index
            }
            #[inline]
            fn generation(self) -> u32 {
                self.generation
            }
        }
    };
}
pub(crate) use slab_key;

slab_key!(
    /// A peer connected to one torrent.
    PeerKey
);

/// Values under generational keys. The place freed last is given out first, so that what happens depends on
/// nothing but the order of calls, and tables beside the slab stay small.
#[derive(Clone, Debug)]
pub struct Slab<T, K = PeerKey> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    key: PhantomData<K>,
}

#[derive(Clone, Debug)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}

impl<T, K> Default for Slab<T, K> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new(), key: PhantomData }
    }
}

impl<T, K: SlabKey> Slab<T, K> {
    /// Nothing yet; allocates with the first value.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps `value`; the key is valid until [`remove`](Self::remove).
    ///
    /// # Panics
    /// With more than four billion values at once: whoever inserts bounds how many.
    pub fn insert(&mut self, value: T) -> K {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, value: None });
            u32::try_from(self.places.len() - 1).expect("a slab is bounded by whoever fills it")
        });
        let place = &mut self.places[index as usize];
        place.value = Some(value);
        K::from_parts(index, place.generation)
    }

    /// Takes the value out; its key names nothing from now on.
    pub fn remove(&mut self, key: K) -> Option<T> {
        let place = self.places.get_mut(key.index() as usize).filter(|p| p.generation == key.generation())?;
        let value = place.value.take()?;
        // A place whose generations are used up is never given out again.
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.free.push(key.index());
        }
        Some(value)
    }

    /// The value, unless it's gone.
    #[inline]
    pub fn get_mut(&mut self, key: K) -> Option<&mut T> {
        let place = self.places.get_mut(key.index() as usize).filter(|p| p.generation == key.generation())?;
        place.value.as_mut()
    }

    /// All of them, in the order of their places.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut T)> {
        self.places.iter_mut().zip(0..).filter_map(|(place, index)| {
            let generation = place.generation;
            place.value.as_mut().map(|value| (K::from_parts(index, generation), value))
        })
    }

    /// The value, unless it's gone.
    #[inline]
    pub fn get(&self, key: K) -> Option<&T> {
        let place = self.places.get(key.index() as usize).filter(|p| p.generation == key.generation())?;
        place.value.as_ref()
    }

    /// Whether the key still names a value.
    #[inline]
    pub fn contains(&self, key: K) -> bool {
        self.get(key).is_some()
    }

    /// The key of whatever has the place now.
    pub fn key_at(&self, index: u32) -> Option<K> {
        let place = self.places.get(index as usize)?;
        place.value.is_some().then(|| K::from_parts(index, place.generation))
    }

    /// All of them, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        self.places.iter().zip(0..).filter_map(|(place, index)| {
            place.value.as_ref().map(|value| (K::from_parts(index, place.generation), value))
        })
    }

    /// All keys, in the order of their places.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.iter().map(|(key, _)| key)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.places.iter().filter(|place| place.value.is_some()).count()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.places.iter().all(|place| place.value.is_none())
    }

    /// Places there have ever been: an upper bound for [`PeerKey::index`], for tables beside the slab.
    pub fn capacity(&self) -> usize {
        self.places.len()
    }
}
