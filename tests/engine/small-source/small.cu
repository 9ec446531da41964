/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel, cuBLAS and the driver's own interface, as ggml-cuda uses them. */
#include <cstdio>
#include <cublas_v2.h>
#include <cuda.h>
#include <cuda_runtime.h>

__global__ void scale(float *x, float by)
{
	x[threadIdx.x] *= by;
}

extern "C" void *ggml_backend_init(void)
{
	static char name[] = "CUDA";
	cublasHandle_t blas = nullptr;
	CUdevice device = 0;
	float *x = nullptr;
	cudaError_t error = cudaMalloc(&x, 32 * sizeof(float));

	if (error != cudaSuccess) {
		printf("no CUDA device: %s\n", cudaGetErrorString(error));
		return nullptr;
	}
	scale<<<1, 32>>>(x, 2);
	error = cudaDeviceSynchronize();
	printf("kernel: %s\n", cudaGetErrorString(error));
	return error == cudaSuccess && cublasCreate(&blas) == CUBLAS_STATUS_SUCCESS &&
			       cuDeviceGet(&device, 0) == CUDA_SUCCESS
		       ? name
		       : nullptr;
}
