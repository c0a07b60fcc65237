"""From a decoded case to what a network sees, and back: crop, intensities, spacing; the cache."""
