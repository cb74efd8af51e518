"""Owns the formats whose files are arrays of all samples: npz, npy and idx; `columns` is which arrays these are."""
