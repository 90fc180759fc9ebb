"""Columns of any file as the few types that the conversion knows: values, times, amounts."""
