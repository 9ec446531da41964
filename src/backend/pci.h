/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Display controllers on the PCI bus, as sysfs shows them, with or without a driver; of AMD's and
 * some of Intel's the memory, too. Those of other makers than NVIDIA, AMD and Intel (servers' and
 * virtual machines' screens) are left out: they compute nothing. */

#include "backend/gpu.h"

void pci_read(const char *sys, struct gpus *ret);

/* pci_memory.c: of the device in that folder, whose kind Intel's have already. */
void pci_memory_amd(const char *folder, struct gpu *g);
void pci_memory_intel(const char *folder, struct gpu *g);
