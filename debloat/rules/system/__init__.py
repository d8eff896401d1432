"""What the kernel, ELF, glibc, PAM, the image's configuration and the package database need."""
