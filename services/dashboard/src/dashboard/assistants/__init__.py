"""The assistants page: which profiles there are, what is wrong with them, which calls use them."""
