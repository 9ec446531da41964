/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Display controllers on the PCI bus, as sysfs shows them, with or without a driver; of AMD's the
 * memory, too. Those of other makers than NVIDIA, AMD and Intel (servers' and virtual machines'
 * screens) are left out: they compute nothing. */

#include "backend/gpu.h"

void pci_read(const char *sys, struct gpus *ret);
