"""What others read about an image: bills of materials, statements of how it was made and tested, and of
vulnerabilities."""
