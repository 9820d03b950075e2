/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Included into kernel/gcov/gcc_base.c behind the configuration. Its constructor is called before
 * main() here, and says which gcov it is: printk() asks who runs, and nobody does yet. */
#undef CONFIG_PRINTK
