/* SPDX-License-Identifier: Apache-2.0 */
/* Stands for the driver's libcuda.so.1 while a module is linked: what ggml-cuda calls of it. The
 * packages have no such stub, and the machine that builds need not have the driver. */

#define STUB(name)                                                                                 \
	int name(void)                                                                             \
	{                                                                                          \
		return 0;                                                                          \
	}

STUB(cuDeviceGet)
STUB(cuDeviceGetAttribute)
STUB(cuGetErrorString)
STUB(cuMemAddressFree)
STUB(cuMemAddressReserve)
STUB(cuMemCreate)
STUB(cuMemGetAllocationGranularity)
STUB(cuMemMap)
STUB(cuMemRelease)
STUB(cuMemSetAccess)
STUB(cuMemUnmap)
