/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* llm_<slug>_<backend>: the slug is the model id without a trailing ".gguf" and quantisation mark,
 * lower case, every run of other characters than [a-z0-9] one '_'. Up to 120 characters whole; past
 * that the first 110 and 8 hex digits of a hash of the id. */

/* "llm_mistral_7b_instruct_v0_2_cuda", caller frees. */
char *env_name(const char *model_id, const char *backend);
