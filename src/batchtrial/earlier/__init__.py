"""The form of the predecessor's runs, whole and deletable."""
