"""Reading and writing media files: the only place that imports PyAV."""
