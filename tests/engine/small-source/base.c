/* SPDX-License-Identifier: Apache-2.0 */
const char *ggml_backend_reg_name(const void *registered);

const char *ggml_backend_reg_name(const void *registered)
{
	return registered;
}
