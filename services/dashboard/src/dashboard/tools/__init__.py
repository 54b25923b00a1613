"""The tools page: which tools services offer, how they do, and a form to call one."""
