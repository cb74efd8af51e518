"""Owns the formats whose files have arrays of all samples: npz, npy, idx and torchmeta; `columns` says which."""
